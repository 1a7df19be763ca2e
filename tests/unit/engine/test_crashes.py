"""An engine that dies at any operation loses nothing, repeats nothing and leaves nothing behind."""

from pathlib import Path

import pytest

from ci_host.engine import actors
from pipelines.history import Effects
from tests.engine.crashes import CrashingWorld, check_history
from tests.engine.world import output_of

pytestmark = pytest.mark.anyio

EVERY_VERB = """
import asyncio

async def run(event, step):
    first = await step.do("first", lambda: 20)
    unit, lint = await step.parallel(
        step.job("unit", run="make unit"), step.job("lint", run="make lint")
    )
    await step.sleep("rest", "10s")
    answer = await step.gate("deploy", approvers=["ada"], timeout="1d")
    late = "in time"
    try:
        async with asyncio.timeout(5):
            await step.wait_for_event("never")
    except TimeoutError:
        late = "too late"
    async with asyncio.timeout(3600):
        await step.job("deploy", run="make deploy")
    return [first + unit.exit_code + lint.exit_code, answer.by, late]
"""
EXPECTED = [20, ["ada"], "too late"]


async def undisturbed(folder: Path) -> tuple[object, int]:
    """(output, operations) of a Run whose engine never dies."""
    world = CrashingWorld(folder)
    life = world.live(None)
    run = await world.begin(EVERY_VERB)
    assert await world.play(run, life)
    await check_history(world, run)
    last = await world.history.last_turn(run)
    await world.die()
    assert last is not None
    return output_of(last.turn), life.count


async def crashed_once(folder: Path, at: int, *, after: bool) -> CrashingWorld:
    """A Run whose engine dies at one operation; the next life finishes it."""
    world = CrashingWorld(folder)
    life = world.live(at, after=after)
    run = await world.begin(EVERY_VERB)
    if not await world.play(run, life):
        await world.die()
        assert await world.play(run, world.live(None)), f"it hangs after a death at {life.last}"
    await check_history(world, run)
    last = await world.history.last_turn(run)
    await world.die()
    assert last is not None
    assert output_of(last.turn) == EXPECTED
    return world


async def test_the_corpus_finishes_undisturbed(tmp_path: Path) -> None:
    output, operations = await undisturbed(tmp_path)
    assert output == EXPECTED
    assert operations > 20


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_death_at_any_operation_changes_nothing(tmp_path: Path, after: bool) -> None:
    _, operations = await undisturbed(tmp_path)
    for at in range(1, operations + 1):
        world = await crashed_once(tmp_path, at, after=after)
        offered = {(spec.key, spec.attempt) for spec in world.jobs.offers}
        assert offered == {("unit", 1), ("lint", 1), ("deploy#2", 1)}


async def test_without_repair_a_death_before_the_effects_hangs_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F1, the naive form: an input found consumed is acknowledged, and its effects never happen."""
    _, operations = await undisturbed(tmp_path)
    monkeypatch.setattr(actors, "repair_of", lambda _view, _armed: Effects())
    hung = 0
    for at in range(1, operations + 1):
        try:
            await crashed_once(tmp_path, at, after=True)
        except (TimeoutError, AssertionError):
            hung += 1
            break
    assert hung, "the naive form must be found out"
