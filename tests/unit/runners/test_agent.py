"""The agent's decisions, on a bus in memory; jobs run for real, unconfined and as a slot's user."""

import asyncio
import shutil
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pipelines.job import HOST, LEASE_S, CancelJob, Lease, Moving, Outcome
from pipelines.manifest import CHUNK_BYTES
from runners.agent import Agent
from runners.blobs import Blobs
from runners.data_directory import DataDirectory
from runners.executors.process import Process
from runners.memory import MemoryLink
from runners.ports import Heartbeat, Refused
from runners.signs_of_life import SignsOfLife
from tests.runner_world import make_spec, until

pytestmark = pytest.mark.anyio

NOW = 1_000_000.0


@pytest.fixture
def root():
    path = Path(tempfile.mkdtemp(prefix="staunch-agent-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def link():
    return MemoryLink()


@asynccontextmanager
async def agent(root, link, **more):
    async with listening(root, link, **more) as (data, _signs):
        yield data


@asynccontextmanager
async def listening(root, link, *, executor=None, drain=False, clock=time.monotonic, **more):
    data = DataDirectory(root / "data")
    sign = Heartbeat(runner=data.runner_id(), pools=["default"], at=0, slots=2, version="0")
    signs = SignsOfLife(data.runner_id(), clock)
    made = Agent(
        data=data,
        queue=link,
        sink=link,
        index=link,
        executor=executor or Process(uid_base=64_000, volumes={}),
        heartbeat=sign,
        signs=signs,
        now=lambda: NOW,
        **more,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(made.run(stop, drain=drain))
    try:
        yield data, signs
    finally:
        stop.set()
        await running
        data.close()


async def reported(link, count=1):
    await until(lambda: len(link.settled) >= count, "the acknowledgement")
    return link.reports[-1]


async def test_a_job_is_leased_run_reported_and_only_then_acknowledged(root, link):
    spec = make_spec(None, "echo hi")
    async with agent(root, link) as data:
        link.offer(spec)
        report = await reported(link)
        assert report.outcome is Outcome.SUCCEEDED
        assert link.leases[spec.id].runner == data.runner_id() == report.runner
        assert "\nhi\n" in link.text_of(spec.id)
        assert link.settled == [f"token-of-{spec.id}"]
        assert link.held
        assert data.is_reported(spec.id)


class Stalled(Blobs):
    """A store that takes the second piece of a file and then nothing, until it is let."""

    def __init__(self):
        super().__init__("memory:///")
        self.go = asyncio.Event()
        self.left = 1

    async def put(self, digest, content, shelf="pieces"):
        self.left -= 1
        if self.left < 0:
            await self.go.wait()
        return await super().put(digest, content, shelf)


async def test_signs_of_life_tell_how_far_the_files_of_a_job_are(root, link):
    store = Stalled()
    # Three whole pieces: they travel side by side, and any of them may be the first to arrive.
    make = f"head -c {3 * CHUNK_BYTES} /dev/urandom > big"
    spec = make_spec(None, make, artifacts={"big": ["big"]})
    told = []

    async def listen():
        async for sign in link.beats():
            told.append(sign.moving)

    async with agent(root, link, blobs=store):
        listening = asyncio.create_task(listen())
        link.offer(spec)
        moving = await until(lambda: next((one for one in told if one), None), "a sign")
        assert moving == {spec.id: Moving(doing="keeps its files", done=CHUNK_BYTES)}
        store.go.set()
        report = await reported(link)
        assert [one.size for one in report.artifacts] == [3 * CHUNK_BYTES]
        told.clear()
        assert await until(lambda: told, "the next sign") == [{}]
        listening.cancel()


class Clock:
    """Seconds that go forward when the test says so."""

    def __init__(self):
        self.seconds = 500.0

    def __call__(self):
        return self.seconds


def leased_elsewhere(link, lease_s=LEASE_S, runner="b"):
    """A job that another runner has begun long ago."""
    spec = make_spec(None, "echo hi")
    link.leases[spec.id] = Lease(
        job=spec.id, key=spec.key, runner=runner, started_at=NOW - 600, lease_s=lease_s
    )
    return spec


async def beat(link, signs, runner):
    """A sign of life that has arrived."""
    await link.beat(Heartbeat(runner=runner, pools=[], at=NOW, slots=1, version="0"))
    await until(lambda: signs.silence_s(runner) == 0, "the sign of life")


async def test_a_lease_of_a_living_runner_gives_the_job_back_for_a_while(root, link):
    clock = Clock()
    async with listening(root, link, clock=clock) as (data, signs):
        await until(lambda: not signs.is_deaf, "the agent's own sign of life")
        for _ in range(3):
            clock.seconds += 10
            await beat(link, signs, data.runner_id())
            await beat(link, signs, "b")
        clock.seconds += 7
        spec = leased_elsewhere(link)
        link.offer(spec)
        await until(lambda: link.returned, "the return")
        assert link.returned == [(f"token-of-{spec.id}", 5.0)]
        clock.seconds += 4
        link.offer(spec)
        await until(lambda: len(link.returned) == 2, "the second return")
        # Only as long as it takes until its silence is long enough.
        assert link.returned[1] == (f"token-of-{spec.id}", 4.0)
    assert link.reports == []


@pytest.mark.parametrize("lease_s", [15.0, 40.0])
async def test_a_lease_of_a_vanished_runner_ends_the_attempt_as_lost(root, link, lease_s):
    clock = Clock()
    async with listening(root, link, clock=clock) as (data, signs):
        await until(lambda: not signs.is_deaf, "the agent's own sign of life")
        await beat(link, signs, "b")
        while signs.silence_s("b") < lease_s:
            clock.seconds += 5
            await beat(link, signs, data.runner_id())
        spec = leased_elsewhere(link, lease_s)
        link.offer(spec)
        report = await reported(link)
    assert (report.outcome, report.runner) == (Outcome.LOST, "b")
    assert report.message == f"runner b has given no sign of life for {lease_s:g} s"
    assert spec.id not in link.chunks
    # Should that runner come back, it ends what nobody waits for any more.
    assert link.wishes[spec.id].reason == f"given up as lost: {report.message}"


async def test_what_the_host_has_claimed_is_the_hosts_to_report_however_long_it_is_silent(
    root, link
):
    clock = Clock()
    async with listening(root, link, clock=clock) as (data, signs):
        await until(lambda: not signs.is_deaf, "the agent's own sign of life")
        spec = leased_elsewhere(link, runner=HOST)
        for times in (1, 2):
            link.offer(spec)
            await until(lambda: len(link.returned) == times, "the return")  # noqa: B023
            for _ in range(12):
                clock.seconds += 5
                await beat(link, signs, data.runner_id())
    assert link.returned == [(f"token-of-{spec.id}", 5.0)] * 2
    assert link.reports == []
    assert link.wishes == {}


async def test_a_runner_that_was_never_heard_has_a_lease_from_the_meeting_on(root, link):
    clock = Clock()
    async with listening(root, link, clock=clock) as (data, signs):
        await until(lambda: not signs.is_deaf, "the agent's own sign of life")
        for _ in range(12):
            clock.seconds += 5
            await beat(link, signs, data.runner_id())
        spec = leased_elsewhere(link)
        link.offer(spec)
        await until(lambda: link.returned, "the return")
        assert link.returned == [(f"token-of-{spec.id}", 5.0)]
        for _ in range(3):
            clock.seconds += 5
            await beat(link, signs, data.runner_id())
        link.offer(spec)
        assert (await reported(link)).outcome is Outcome.LOST


async def test_an_agent_that_was_deaf_itself_says_of_nobody_that_they_are_gone(root, link):
    clock = Clock()
    async with listening(root, link, clock=clock) as (data, signs):
        await until(lambda: not signs.is_deaf, "the agent's own sign of life")
        clock.seconds += 600
        spec = leased_elsewhere(link)
        link.offer(spec)
        await until(lambda: link.returned, "the return")
        # It hears again: from now on it listens, and the time before does not count.
        await beat(link, signs, data.runner_id())
        link.offer(spec)
        await until(lambda: len(link.returned) == 2, "the second return")
    assert link.reports == []


async def test_a_job_that_may_not_run_is_refused_with_the_reason(root, link):
    class Never(Process):
        def plan(self, spec, directory, slot, root=None, services=None):
            raise Refused("not here; go elsewhere")

    async with agent(root, link, executor=Never(uid_base=64_000, volumes={})) as data:
        link.offer(make_spec(None, "echo hi"))
        report = await reported(link)
        assert data.job_directories() == []
    assert (report.outcome, report.message) == (Outcome.REFUSED, "not here; go elsewhere")


async def test_a_fault_of_the_runner_costs_a_delay_and_not_the_slot(root, link):
    class Faulty(Process):
        def plan(self, spec, directory, slot, root=None, services=None):
            if spec.key == "bad":
                raise RuntimeError("a bug")
            return super().plan(spec, directory, slot)

    async with agent(root, link, executor=Faulty(uid_base=64_000, volumes={})):
        for number in range(3):
            link.offer(make_spec(None, "true", key="bad"), token=f"bad{number}")
        link.offer(make_spec(None, "true"))
        assert (await reported(link)).outcome is Outcome.SUCCEEDED
    assert [token for token, _ in link.returned] == ["bad0", "bad1", "bad2"]


async def test_a_job_that_a_fault_let_go_of_is_taken_up_where_it_is(root, link):
    class Forgetful(MemoryLink):
        faults = 1

        async def finish(self, report, run):
            if self.faults:
                self.faults -= 1
                raise RuntimeError("a bug")
            await super().finish(report, run)

    link, spec = Forgetful(), make_spec(None, "echo once")
    async with agent(root, link):
        link.offer(spec, token="first")
        await until(lambda: link.returned, "the return")
        link.offer(spec, token="second")
        report = await reported(link)
    assert report.outcome is Outcome.SUCCEEDED
    assert link.settled == ["second"]
    assert link.text_of(spec.id).count("\nonce\n") == 1


async def test_a_redelivery_of_a_running_job_is_the_one_that_is_acknowledged(root, link):
    spec = make_spec(None, "sleep 0.5")
    async with agent(root, link) as data:
        link.offer(spec, token="first")
        await until(lambda: data.job_directories(), "the start")
        link.offer(spec, token="second")
        await reported(link)
    assert link.settled == ["second"]
    assert len(link.reports) == 1


async def test_a_cancel_that_came_before_the_job_ends_it_unrun(root, link):
    spec = make_spec(None, "echo hi")
    await link.cancel(CancelJob(job=spec.id, reason="no need"))
    async with agent(root, link):
        link.offer(spec)
        report = await reported(link)
    assert report.outcome is Outcome.CANCELLED
    assert report.message == "cancelled before it began: no need"


async def test_a_cancel_of_a_running_job_ends_it(root, link):
    spec = make_spec(None, "echo begun; sleep 60")
    async with agent(root, link):
        link.offer(spec)
        await until(lambda: "begun\n" in link.text_of(spec.id), "the first line")
        await link.cancel(CancelJob(job=spec.id))
        assert (await reported(link)).outcome is Outcome.CANCELLED


async def test_the_report_waits_for_a_bus_that_is_away(root, link):
    spec = make_spec(None, "echo begun; sleep 0.3")
    async with agent(root, link) as data:
        link.offer(spec)
        await until(lambda: "begun\n" in link.text_of(spec.id), "the first line")
        link.down = True
        await until((data.job(spec.id) / "exit.json").exists, "the end")
        link.down = False
        assert (await reported(link)).outcome is Outcome.SUCCEEDED


async def test_a_directory_that_nobody_can_read_does_not_stop_the_agent(root, link):
    broken = root / "data" / "jobs" / "0-x.y.1"
    broken.mkdir(parents=True)
    (broken / "spec.json").write_text("{")
    (root / "data" / "jobs" / ".0-x.z.1.new").mkdir()
    async with agent(root, link) as data:
        link.offer(make_spec(None, "true"))
        await reported(link)
        await until(lambda: data.leftovers() == [], "the cleared directory")
        assert broken.exists()


class LateImages:
    """An image that comes when the test says so."""

    def __init__(self):
        self.asked = asyncio.Event()
        self.there = asyncio.Event()

    async def ready(self, _reference):
        self.asked.set()
        await self.there.wait()
        raise Refused("it is none")


@pytest.mark.parametrize("is_heard", [True, False])
async def test_a_job_that_waits_for_its_image_is_cancelled_at_once(root, link, is_heard):
    images = LateImages()
    spec = make_spec(None, "true", image="large")
    wish = CancelJob(job=spec.id, reason="enough")
    async with agent(root, link, images=images):
        link.offer(spec)
        await images.asked.wait()
        if is_heard:
            await link.cancel(wish)
        else:
            link.wishes[spec.id] = wish
        report = await reported(link)
        assert (report.outcome, report.message) == (
            Outcome.CANCELLED,
            "cancelled before it began: enough",
        )
        # What comes later is nobody's any more, and the slot is free.
        images.there.set()
        link.offer(make_spec(None, "true", key="next"))
        assert (await reported(link, 2)).outcome is Outcome.SUCCEEDED
