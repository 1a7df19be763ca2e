"""Real agents with one slot: the most important job is taken next, and the others in their turn."""

import json

import pytest

from pipelines.job import Outcome
from pipelines.priority import LEVELS, Priority
from runners.link.nats import consumer_of
from tests.patience import PATIENCE_S
from tests.runner_world import make_spec, until, world

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.nats, pytest.mark.bwrap]

NOTED = "echo {} >> /volumes/shared/order"
# At work until somebody lets it go.
HELD = "while [ ! -e /volumes/shared/go ]; do sleep 0.05; done"
QUEUED = ["low", "low", "normal", "low", "normal", "high", "urgent", "high"]
ORDER = ["held", "urgent-6", "high-5", "high-7", "normal-2", "normal-4", "low-0", "low-1", "low-3"]


@pytest.fixture
async def bus():
    async with world() as made:
        volume = made.root / "volume"
        volume.mkdir()
        volume.chmod(0o777)
        made.volume = ["--volume", f"shared={volume}"]
        yield made


def noted(name: str, level: str, *before: str):
    """A job that notes its name on the shared volume."""
    run = "; ".join([NOTED.format(name), *before])
    return make_spec(None, run, key=name, priority=Priority(level), volumes=["shared"])


def order(bus) -> list[str]:
    path = bus.root / "volume" / "order"
    return path.read_text().split() if path.exists() else []


async def asks_for_nothing(bus) -> bool:
    for level in LEVELS:
        subject = f"$JS.API.CONSUMER.INFO.JOBS.{consumer_of('default', level)}"
        answer = await bus.client.request(subject, b"", timeout=PATIENCE_S)
        if json.loads(answer.data)["num_waiting"]:
            return False
    return True


async def queue_behind_a_job_at_work(bus):
    """One slot, which has a job of low priority; all others come after it."""
    agent = bus.agent(slots=1, more=bus.volume)
    held = noted("held", "low", HELD)
    await bus.submit(held)
    await until(lambda: order(bus) == ["held"], "the first job at work")
    # What the slot had asked for before; until then a job may be on its way there and back.
    await until(lambda: asks_for_nothing(bus), "the end of its pulls")
    specs = [noted(f"{level}-{number}", level) for number, level in enumerate(QUEUED)]
    for spec in specs:
        await bus.submit(spec)
    return agent, held, specs


async def test_with_one_slot_busy_a_later_important_job_is_next_and_none_starves(bus):
    _, held, specs = await queue_behind_a_job_at_work(bus)
    (bus.root / "volume" / "go").touch()
    for spec in (held, *specs):
        assert (await bus.report(spec)).outcome is Outcome.SUCCEEDED
    assert order(bus) == ORDER
    await bus.settled()


async def test_an_agent_that_is_killed_leaves_the_order_to_the_next(bus):
    agent, held, specs = await queue_behind_a_job_at_work(bus)
    agent.kill()
    agent.wait()
    (bus.root / "volume" / "go").touch()
    bus.agent(slots=1, more=bus.volume)
    for spec in (held, *specs):
        assert (await bus.report(spec)).outcome is Outcome.SUCCEEDED
    assert order(bus) == ORDER
    await bus.settled()


async def test_a_job_that_is_cancelled_in_its_queue_is_reported_in_its_turn_and_never_run(bus):
    _, held, specs = await queue_behind_a_job_at_work(bus)
    gone = [specs[0], specs[6]]
    for spec in gone:
        await bus.cancel(spec)
    (bus.root / "volume" / "go").touch()
    for spec in (held, *specs):
        wanted = Outcome.CANCELLED if spec in gone else Outcome.SUCCEEDED
        assert (await bus.report(spec)).outcome is wanted
    assert order(bus) == [name for name in ORDER if name not in ("low-0", "urgent-6")]
    await bus.settled()
