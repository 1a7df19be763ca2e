"""The dispatcher dies at every line, has a rival, and still every job is released and reported."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.memory.line import MemoryLine, MemoryOpenLine
from ci_host.engine.dispatcher import EARLY_MAX, Dispatcher
from ci_host.line_ports import JobLimit, OpenLine, PoolRule, Ticket
from pipelines.events import JobFinished
from pipelines.ids import JobId, StepKey, job_id, run_id
from pipelines.job import HOST, Outcome
from pipelines.priority import Priority
from pipelines.trust import Tier
from tests.engine.crashes import Life
from tests.engine.world import finished, until

pytestmark = pytest.mark.anyio

RUN = run_id("test", "dispatcher", shards=1)
REPO = JobLimit(repo="git/a", at_once=2)


def ticket(name: str, repo: str = "a", tier: Tier = Tier.TRUSTED) -> Ticket:
    return Ticket(
        job=job_id(RUN, StepKey(name), 1),
        key=name,
        pool="default",
        level=Priority.NORMAL,
        repo=f"git/{repo}",
        repo_name=repo,
        place=0,
        tier=tier,
    )


class MortalLine:
    """A line as one life of a dispatcher sees it."""

    def __init__(self, line: MemoryLine, life: Life) -> None:
        self._line, self._life = line, life

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenLine]:
        async with self._line.open() as opened:
            yield self._life.port(opened)


class World:
    """Jobs that are offered, dispatchers that come and go, and Runners that work for ever."""

    def __init__(self, slots: int = 2) -> None:
        self.line = MemoryLine()
        self.history = MemoryHistory()
        self.line.serve({"default": slots})
        self.worked: list[str] = []
        self.most: Counter[str] = Counter()

    def dispatch(self, life: Life | None = None) -> asyncio.Task[None]:
        life = life or Life(None, after=False)
        dispatcher = Dispatcher(
            MortalLine(self.line, life), life.port(self.history), now=lambda: 1.0
        )

        async def pause(_: float) -> None:
            await asyncio.sleep(0)

        return asyncio.create_task(dispatcher.serve(pause))

    async def work(self) -> None:
        """As a Runner: the oldest first, each claimed before it is worked."""
        while True:
            for place, one in list(self.line.jobs.items()):
                self._note()
                if self.line.claim(one.job, "runner") and one.key not in self.worked:
                    self.worked.append(one.key)
                    await self.history.append_input(RUN, finished(RUN, one.key))
                if self.line.leases[one.job] == "runner":
                    self.line.done(place)
            await asyncio.sleep(0)

    def _note(self) -> None:
        now = Counter(one.repo for one in self.line.jobs.values())
        self.most |= now

    async def reports(self) -> dict[JobId, list[Outcome]]:
        found: dict[JobId, list[Outcome]] = {}
        for stored in await self.history.inputs_after(RUN, 0):
            if isinstance(stored.input, JobFinished):
                found.setdefault(JobId(stored.input.job), []).append(stored.input.outcome)
        return found

    async def drained(self) -> None:
        await until(lambda: not (self.line.offers or self.line.jobs))


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _moments() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def _play(world: World, ends_at: int | None, *, after: bool) -> Life:
    """Jobs of two repos, some cancelled, and a dispatcher that dies once; answers its life."""
    world.line.limit(REPO)
    for number in range(4):
        world.line.offer(ticket(f"a{number}", "a"))
    world.line.offer(ticket("b0", "b"))
    life = Life(ends_at, after=after)
    first = world.dispatch(life)
    await _moments()
    world.line.cancel(ticket("a3").job, "enough")
    world.line.cancel(ticket("a1").job, "enough")
    await _moments()
    working = asyncio.create_task(world.work())
    world.line.offer(ticket("a4", "a"))
    if ends_at is not None:
        await until(lambda: life.over.is_set() or not (world.line.offers or world.line.jobs))
    else:
        await world.drained()
    await _end(first)
    world.line.offer(ticket("b1", "b"))
    # What an engine repairs it offers again.
    world.line.offer(ticket("a2", "a"))
    second = world.dispatch()
    await world.drained()
    await _end(second, working)
    return life


async def test_a_dispatcher_that_dies_at_any_line_loses_nothing_and_passes_no_limit() -> None:
    life = await _play(World(), None, after=False)
    assert life.count >= 15
    for at in range(1, life.count + 1):
        for after in (False, True):
            world = World()
            await _play(world, at, after=after)
            reports = await world.reports()
            names = {"a0", "a1", "a2", "a3", "a4", "b0", "b1"}
            assert reports.keys() == {ticket(name).job for name in names}, (at, after)
            assert len(world.worked) == len(set(world.worked)), "each is worked once"
            for job, outcomes in reports.items():
                by = world.line.leases.get(job)
                assert set(outcomes) == {
                    Outcome.SUCCEEDED if by == "runner" else Outcome.CANCELLED
                }, (at, after, job)
            assert world.most["git/a"] <= 2


async def _sort(world: World, ends_at: int | None, *, after: bool) -> Life:
    """Jobs of both tiers, a rule that changes while they wait, and a dispatcher that dies once."""
    world.line.serve({"default": 1, "strangers": 1})
    world.line.rule(PoolRule(pool="strangers", tier=Tier.UNTRUSTED))
    life = Life(ends_at, after=after)
    first = world.dispatch(life)
    for number in range(4):
        world.line.offer(ticket(f"ours{number}"))
        world.line.offer(ticket(f"theirs{number}", tier=Tier.UNTRUSTED))
    world.line.offer(replace(ticket("misled"), pool="strangers"))
    await _moments()
    world.line.rule(PoolRule(pool="default", tier=Tier.TRUSTED, untrusted_to="strangers"))
    await _moments()
    working = asyncio.create_task(world.work())
    if ends_at is not None:
        await until(lambda: life.over.is_set() or not (world.line.offers or world.line.jobs))
    else:
        await world.drained()
    await _end(first)
    second = world.dispatch()
    await world.drained()
    await _end(second, working)
    return life


async def test_by_the_rules_of_pools_jobs_are_sent_on_or_refused_whenever_it_dies() -> None:
    life = await _sort(World(), None, after=False)
    assert life.count >= 15
    for at in range(1, life.count + 1):
        for after in (False, True):
            world = World()
            await _sort(world, at, after=after)
            reports = await world.reports()
            names = {"misled", *(f"{who}{n}" for who in ("ours", "theirs") for n in range(4))}
            assert reports.keys() == {ticket(name).job for name in names}, (at, after)
            assert set(reports[ticket("misled").job]) == {Outcome.REFUSED}
            assert len(world.worked) == len(set(world.worked)), "each is worked once"
            for name in names - {"misled"}:
                by = world.line.leases.get(ticket(name).job)
                wanted = Outcome.SUCCEEDED if by == "runner" else Outcome.REFUSED
                assert set(reports[ticket(name).job]) == {wanted}, (at, after, name)
                # Only what was with the runners of the pool when the rule came is taken back.
                assert by == "runner" or name in ("theirs0", "theirs1"), (at, after, name)


async def test_a_job_that_is_sent_on_says_so_while_it_waits() -> None:
    world = World(slots=0)
    world.line.rule(PoolRule(pool="default", tier=Tier.TRUSTED, untrusted_to="strangers"))
    dispatcher = Dispatcher(world.line, world.history, now=lambda: 1.0)
    serving = asyncio.create_task(dispatcher.serve(lambda _: asyncio.sleep(0)))
    stranger = ticket("job", tier=Tier.UNTRUSTED)
    world.line.offer(stranger)
    held = await until(lambda: dispatcher.why(stranger.job))
    await _end(serving)
    assert held.pool == "strangers"
    assert held.words == (
        "sent on to pool strangers, since default takes only trusted changes; 0 before it"
    )


async def test_a_job_with_labels_waits_for_the_pool_that_has_them_and_goes_where_one_lives() -> (
    None
):
    world = World(slots=0)
    for pool in ("arm-a", "arm-b"):
        world.line.rule(PoolRule(pool=pool, labels=["arm64"]))
    dispatcher = Dispatcher(world.line, world.history, now=lambda: 1.0)
    serving = asyncio.create_task(dispatcher.serve(lambda _: asyncio.sleep(0)))
    await _moments()
    labelled = replace(ticket("job"), labels=("arm64",))
    world.line.offer(labelled)
    held = await until(lambda: dispatcher.why(labelled.job))
    assert (held.pool, held.words) == (
        "arm-a",
        "in pool arm-a, which has the labels it asks for: arm64; 0 before it",
    )
    world.line.serve({"default": 0, "arm-b": 1})
    await until(lambda: world.line.jobs)
    assert [one.pool for one in world.line.jobs.values()] == ["arm-b"]
    world.line.offer(replace(ticket("other"), labels=("arm64", "gpu")))
    await until(lambda: not world.line.offers)
    await _end(serving)
    [stored] = await world.history.inputs_after(RUN, 0)
    assert isinstance(stored.input, JobFinished)
    assert stored.input.outcome is Outcome.REFUSED
    assert "no pool has the labels arm64, gpu; pool arm-a has all but gpu" in stored.input.message


async def test_what_another_host_has_released_and_a_runner_has_begun_is_not_refused() -> None:
    world = World(slots=1)
    world.line.rule(PoolRule(pool="default", tier=Tier.TRUSTED))
    serving = world.dispatch()
    await _moments()
    job = ticket("job", tier=Tier.UNTRUSTED)
    assert world.line.claim(job.job, "runner")
    world.line.offer(job)
    await until(lambda: not world.line.offers)
    await _end(serving)
    assert await world.reports() == {}


async def test_two_dispatchers_release_each_job_once_and_pass_no_limit() -> None:
    world = World(slots=50)
    world.line.limit(REPO)
    pair = [world.dispatch(), world.dispatch()]
    working = asyncio.create_task(world.work())
    for number in range(40):
        world.line.offer(ticket(f"job{number}", "ab"[number % 2]))
        await asyncio.sleep(0)
    await world.drained()
    await _end(*pair, working)
    assert sorted(world.worked) == sorted(f"job{number}" for number in range(40))
    assert world.line.last == 40
    assert world.most["git/a"] <= 2


async def test_a_job_that_waits_is_cancelled_without_a_runner() -> None:
    world = World(slots=0)
    dispatching = world.dispatch()
    world.line.offer(ticket("job"))
    world.line.cancel(ticket("job").job, "the wrong branch")
    await until(lambda: not world.line.offers)
    await _end(dispatching)
    [stored] = await world.history.inputs_after(RUN, 0)
    report = stored.input
    assert isinstance(report, JobFinished)
    assert (report.outcome, report.message) == (
        Outcome.CANCELLED,
        "cancelled before it began: the wrong branch",
    )


async def test_a_cancel_that_is_heard_before_its_offer_counts() -> None:
    world = World(slots=0)
    dispatching = world.dispatch()
    await _moments()
    for number in range(EARLY_MAX + 1):
        world.line.cancel(ticket(f"gone{number}").job, "enough")
    world.line.cancel(ticket("job").job, "enough")
    await _moments()
    world.line.offer(ticket("job"))
    await until(lambda: not world.line.offers)
    await _end(dispatching)
    assert await world.reports() == {ticket("job").job: [Outcome.CANCELLED]}


async def test_a_released_job_that_nobody_has_claimed_is_cancelled_in_the_hosts_name() -> None:
    world = World(slots=1)
    dispatching = world.dispatch()
    world.line.offer(ticket("job"))
    await until(lambda: world.line.jobs)
    world.line.cancel(ticket("job").job, "enough")
    await until(lambda: not world.line.jobs)
    await _end(dispatching)
    assert world.line.leases == {ticket("job").job: HOST}
    assert await world.reports() == {ticket("job").job: [Outcome.CANCELLED]}


async def test_a_job_that_a_runner_has_claimed_is_left_to_it() -> None:
    world = World(slots=1)
    dispatching = world.dispatch()
    world.line.offer(ticket("job"))
    await until(lambda: world.line.jobs)
    world.line.claim(ticket("job").job, "runner")
    world.line.cancel(ticket("job").job, "enough")
    world.line.offer(ticket("other"))
    await until(lambda: len(world.line.jobs) == 2)
    await _end(dispatching)
    assert await world.reports() == {}


async def test_a_fault_of_the_dispatchers_own_ends_nothing() -> None:
    world = World()
    opened = MemoryOpenLine.release
    faults = iter([True])

    class Faulty(MemoryOpenLine):
        async def release(self, offer: Ticket) -> Ticket:
            if next(faults, False):
                raise ZeroDivisionError
            return await opened(self, offer)

    class FaultyLine:
        @asynccontextmanager
        async def open(self) -> AsyncIterator[OpenLine]:
            yield Faulty(world.line)

    world.line.offer(ticket("job"))
    dispatcher = Dispatcher(FaultyLine(), world.history, now=lambda: 1.0)
    serving = asyncio.create_task(dispatcher.serve(lambda _: asyncio.sleep(0)))
    await until(lambda: world.line.jobs)
    await _end(serving)
    [depth] = dispatcher.depths()
    assert (depth.pool, depth.waiting, depth.at_runners) == ("default", 0, 1)
