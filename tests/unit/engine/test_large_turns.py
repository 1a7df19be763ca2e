"""Turns that take in or decide much: what is too much at once is cut, or refused by name."""

from pathlib import Path

import pytest

from ci_host.engine.batches import EVENTS_TURN_BYTES_MAX
from pipelines.events import SIGNAL_BYTES_MAX, SignalSent
from pipelines.turn import TURN_BYTES_MAX
from tests.engine.world import memory_world, output_of, turns_of, until

pytestmark = pytest.mark.anyio

TWO_VALUES = """
async def run(event, step):
    for number in range(2):
        await step.do(f"load {number}", lambda: "x" * SIZE)
"""

WAITS = """
async def run(event, step):
    said = [await step.wait_for_event(f"go{number}") for number in range(5)]
    return [len(one) for one in said]
"""


async def test_a_turn_at_its_limit_is_kept_and_one_over_it_fails_its_run(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(TWO_VALUES.replace("SIZE", str(TURN_BYTES_MAX // 2 - 2_000)))
        assert output_of(await world.ended(run)) is None
        over = await world.begin(TWO_VALUES.replace("SIZE", str(TURN_BYTES_MAX // 2)))
        end = (await world.ended(over)).end
        assert end is not None and end.error is not None
        assert end.error.type == "TurnTooBig"
        assert "over the limit of 32,000,000" in end.error.message


async def test_inputs_that_are_too_much_for_one_turn_are_taken_in_several(tmp_path: Path) -> None:
    size = SIGNAL_BYTES_MAX - 2
    async with memory_world(tmp_path) as world:
        run = await world.begin(WAITS)
        await until(lambda: not world.history.wakes.owed)
        engine = world.engine
        assert engine is not None
        await engine.kill()
        for number in range(5):
            name = f"go{number}"
            await world.history.append_input(
                run, SignalSent(id=name, name=name, payload="x" * size)
            )
        world.history.wakes.lose_handed_out()
        world.start()
        assert output_of(await world.ended(run)) == [size] * 5
        turns = await turns_of(world.history, run)
        assert [len(turn.consumed) for turn in turns] == [1, 1, 1, 1, 1, 1]
        await world.settled()


async def test_one_input_over_the_limit_has_a_turn_of_its_own(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(WAITS.replace("range(5)", "range(2)"))
        await until(lambda: not world.history.wakes.owed)
        big = "x" * (EVENTS_TURN_BYTES_MAX + 1)
        for number, payload in enumerate([big, "y"]):
            name = f"go{number}"
            await world.history.append_input(run, SignalSent(id=name, name=name, payload=payload))
        assert output_of(await world.ended(run)) == [len(big), 1]
        await world.settled()
