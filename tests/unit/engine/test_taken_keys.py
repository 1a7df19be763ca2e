"""A key that was used for something else is refused; the same again has the first one's answer."""

from pathlib import Path
from typing import Any, cast

import pytest

from ci_host.access import Token
from ci_host.adapters.memory.history import MemoryHistory
from ci_host.engine.asked_again import KeyTaken, by_key, check_same, key_of
from ci_host.engine.forks import Forks, ForkWish
from ci_host.engine.people import COMPARED_EVENTS_MAX, People
from ci_host.engine.reruns import Reruns, Wish
from ci_host.ports import StoredInput
from pipelines.events import SignalSent
from pipelines.ids import RunId
from pipelines.priority import Priority
from tests.engine.world import MemoryWorld, memory_world, until
from tests.tenants import started

pytestmark = pytest.mark.anyio

ADA, BOB = Token(name="ada", digest=""), Token(name="bob", digest="")
WAITS = "async def run(event, step):\n    await step.wait_for_event('never')\n"
DONE = "async def run(event, step):\n    return await step.do('kept', lambda: 1)\n"


def people(world: MemoryWorld) -> People:
    return People(world.history, now=lambda: world.history.now, new_id=lambda: "new")


async def taken_in(world: MemoryWorld, run: RunId, events: int) -> None:
    async def is_so() -> bool:
        last = await world.history.last_turn(run)
        usage = None if last is None else last.turn.usage
        return usage is not None and usage.events == events

    await until(is_so)


@pytest.mark.parametrize(
    ("before", "now", "is_same"),
    [
        ({"a": 1, "b": [None]}, {"b": [None], "a": 1}, True),
        (1, True, False),
        ("1", 1, False),
        (0.5, 0.5, True),
        (2**70, 2**70, True),
        ([1, 2], [2, 1], False),
    ],
)
def test_what_is_the_same_as_json_is_the_same(before: object, now: object, is_same: bool) -> None:
    if is_same:
        check_same("k", {"payload": before}, {"payload": now})
    else:
        with pytest.raises(KeyTaken, match=r"'k' was used before.* its payload differed"):
            check_same("k", {"payload": before}, {"payload": now})


def test_a_key_of_the_api_is_no_name_that_a_forge_gave() -> None:
    assert key_of(by_key("one")) == "one"
    assert (by_key(""), key_of("hub d-1")) == ("", "")


async def test_a_signal_is_refused_for_another_ones_id_and_kept_once(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(WAITS)
        told = people(world)
        await told.signal(run, "go", {"n": 1}, ADA, "one")
        await told.signal(run, "go", {"n": 1}, BOB, "one")
        wrong = [("go", {"n": True}, "payload"), ("other", 2, "name and payload")]
        for name, payload, others in wrong:
            with pytest.raises(KeyTaken, match=f"its {others} differed. Nothing was done"):
                await told.signal(run, name, payload, ADA, "one")
        inputs = await world.history.inputs_after(run, 0)
        sent = [one.input for one in inputs if isinstance(one.input, SignalSent)]
        assert {(one.name, str(one.payload)) for one in sent} == {("go", "{'n': 1}")}


async def test_ids_of_signals_are_compared_while_not_too_much_has_happened(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(WAITS)
        # Its beginning is one event.
        for number in range(COMPARED_EVENTS_MAX - 1):
            await world.history.append_input(run, SignalSent(id=str(number), name="go"))
        await taken_in(world, run, COMPARED_EVENTS_MAX)
        with pytest.raises(KeyTaken):
            await people(world).signal(run, "other", None, ADA, "5")
        await people(world).signal(run, "go", None, ADA, "another")
        await taken_in(world, run, COMPARED_EVENTS_MAX + 1)
        await people(world).signal(run, "other", None, ADA, "5")


class Meanwhile:
    """A History to which somebody else adds a Signal once it was looked at; counts what is read."""

    def __init__(self, history: MemoryHistory, *others: SignalSent) -> None:
        self._history = history
        self._others = list(others)
        self.read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._history, name)

    async def inputs_after(
        self, run: RunId, sequence: int, *, at_most: int | None = None
    ) -> list[StoredInput]:
        found = await self._history.inputs_after(run, sequence, at_most=at_most)
        self.read += len(found)
        if self._others:
            await self._history.append_input(run, self._others.pop(0))
        return found


async def begun() -> tuple[MemoryHistory, RunId]:
    """A Run that no engine has taken up yet."""
    first = started()
    run = RunId(first.run)
    history = MemoryHistory()
    await history.create(run, first)
    return history, run


async def test_of_two_signals_with_one_id_at_once_the_other_is_refused() -> None:
    history, run = await begun()
    others = [SignalSent(id="two", name="go"), SignalSent(id="one", name="go", payload=2)]
    seen = Meanwhile(history, *others)
    told = People(cast(Any, seen), now=lambda: 0.0, new_id=lambda: "new")
    with pytest.raises(KeyTaken, match="its payload differed"):
        await told.signal(run, "go", 1, ADA, "one")
    await told.signal(run, "go", 2, ADA, "one")
    sent = [one.input for one in await history.inputs_after(run, 0)][1:]
    assert sent == others


async def test_while_an_engine_lags_no_more_is_read_than_is_compared() -> None:
    history, run = await begun()
    for number in range(2 * COMPARED_EVENTS_MAX):
        await history.append_input(run, SignalSent(id=str(number), name="go"))
    seen = Meanwhile(history)
    told = People(cast(Any, seen), now=lambda: 0.0, new_id=lambda: "new")
    await told.signal(run, "other", None, ADA, str(COMPARED_EVENTS_MAX + 1))
    assert seen.read == COMPARED_EVENTS_MAX + 1


async def test_a_rerun_with_the_key_of_another_wish_begins_nothing(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(DONE)
        await world.ended(run)
        reruns = Reruns(world.history, 4)
        begun = await reruns.rerun(run, Wish(), ADA, asked=by_key("k"))
        assert await reruns.rerun(run, Wish(), BOB, asked=by_key("k")) == begun
        for wish, other in [
            (Wish(failed_only=True), "choice of what is taken over"),
            (Wish(priority=Priority.HIGH), "priority"),
            (Wish(wait_s=60), "wait_s"),
        ]:
            with pytest.raises(KeyTaken, match=f"'k' was used before.* its {other} differed"):
                await reruns.rerun(run, wish, ADA, asked=by_key("k"))
        assert sorted(world.history.runs()) == sorted([run, begun.run])


async def test_what_a_forge_names_is_not_refused_for_another_wish(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(DONE)
        await world.ended(run)
        reruns = Reruns(world.history, 4)
        begun = await reruns.rerun(run, Wish(), ADA, asked="hub d-1")
        again = await reruns.rerun(run, Wish(failed_only=True), ADA, asked="hub d-1")
        assert again.run == begun.run


async def test_a_fork_with_the_key_of_another_wish_begins_nothing(tmp_path: Path) -> None:
    async with memory_world(tmp_path) as world:
        run = await world.begin(DONE)
        await world.ended(run)
        forks = Forks(world.history, 4)
        made = await forks.fork(run, ForkWish("fork k", asked="k"), "ada", None)
        assert await forks.fork(run, ForkWish("fork k", asked="k"), "bob", None) == made
        low = ForkWish("fork k", priority=Priority.LOW, asked="k")
        with pytest.raises(KeyTaken, match=r"'k' was used before.* its priority differed"):
            await forks.fork(run, low, "ada", None)
        # Nobody calls it so: as when an engine sees to the same delivery once more.
        assert await forks.fork(run, ForkWish("fork k", priority=Priority.LOW), "ada", None) == made
