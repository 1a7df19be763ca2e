"""What was decided of a change holds for all that comes of its run: jobs, children, successors,
further attempts and forks, whatever the payload calls itself."""

from pathlib import Path

import msgspec
import pytest

from ci_host.access import Token
from ci_host.adapters.memory.history import MemoryHistory
from ci_host.engine.children import child_of
from ci_host.engine.forks import Forks, ForkWish
from ci_host.engine.reruns import Reruns, Wish
from pipelines.events import RunStarted
from pipelines.ids import RunId, successor_id
from pipelines.trust import Admission, Tier, Verdict
from tests.engine.world import MemoryWorld, begin, ended, finished, memory_world, until

pytestmark = pytest.mark.anyio

# The event is a push: by its payload alone all of it would be trusted.
VERDICT = Verdict(tier=Tier.UNTRUSTED, admission=Admission.BASE, why="it is from elsewhere")
ADA = Token(name="ada", digest="", admin=True)
CALLER = "async def run(event, step):\n    return await step.call('build', 'build')\n"
BUILD = "async def run(event, step):\n    await step.job('make', run='make')\n"
ON = (
    "async def run(event, step):\n"
    "    if not event.inputs:\n        await step.continue_as_new({'n': 1})\n"
)


async def judged(world: MemoryWorld, source: str, **beside: str) -> RunId:
    """A Run of a change that is not trusted."""
    scratch = MemoryHistory()
    run = await begin(scratch, world.bundles, source, beside=beside)
    started = await scratch.started(run)
    assert started is not None and started.tier is Tier.TRUSTED
    await world.history.create(run, msgspec.structs.replace(started, verdict=VERDICT))
    return run


async def of(world: MemoryWorld, run: RunId) -> RunStarted:
    async def there() -> RunStarted | None:
        return await world.history.started(run)

    found = await until(there)
    assert isinstance(found, RunStarted)
    return found


async def test_a_child_and_its_jobs_are_as_untrusted_as_who_called_it(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await judged(world, CALLER, build=BUILD)
        child = child_of(await of(world, run), "build")
        assert (await of(world, child)).verdict == VERDICT
        await until(lambda: world.jobs.offers)
        assert [one.tier for one in world.jobs.offers] == [Tier.UNTRUSTED]
        await world.history.append_input(child, finished(child, "make"))
        await ended(world.history, run)


async def test_a_successor_is_as_untrusted_as_the_run_before(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await judged(world, ON)
        assert (await of(world, successor_id(run))).verdict == VERDICT


async def test_further_attempts_and_forks_by_administrators_make_nothing_trusted(
    tmp_path: Path,
) -> None:
    async with memory_world(tmp_path) as world:
        run = await judged(world, "async def run(event, step):\n    return 1\n")
        await ended(world.history, run)
        again = await Reruns(world.history, 4).rerun(run, Wish(), ADA)
        assert (await of(world, again.run)).tier is Tier.UNTRUSTED
        forked = await Forks(world.history, 4).fork(run, ForkWish("key", {}, "", None), "ada", None)
        assert (await of(world, forked.run)).tier is Tier.UNTRUSTED
