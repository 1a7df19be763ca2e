"""Runs again because of a button on a Forge: once for each press, and never by an id alone."""

from dataclasses import dataclass, field

import msgspec
import pytest

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.engine.forge_reruns import ForgeReruns, Outcome
from ci_host.ports import SourceRefused, SourceUnavailable
from pipelines.commands import Command, Result, StepKind, StepState
from pipelines.continuation import Continues
from pipelines.event import Event, EventKind
from pipelines.events import Fork, Parent
from pipelines.ids import RunId, run_id, successor_id
from pipelines.repo import Repo
from pipelines.rerun import rerun_id
from pipelines.run import RunState
from pipelines.turn import End
from tests.contract.test_history_store import RUN, first, turn
from webhooks.forge import Again

pytestmark = pytest.mark.anyio

SHARDS = 4
COMMIT = first().event.commit
REPO = Repo(id="git/1", connection="git", external_id="1", name="demo", clone_url="/demo")
SECOND, THIRD = (rerun_id(RUN, n, shards=SHARDS) for n in (2, 3))


@dataclass
class Suites:
    """What the Forge lists, or the fault in its place."""

    listed: dict[str, list[str]] = field(default_factory=dict)
    fault: Exception | None = None

    async def runs(self, repo: Repo, suite: str) -> list[str]:
        if self.fault is not None:
            raise self.fault
        return self.listed.get(suite, [])


class World:
    """Histories, and buttons; `unit` of the Run has succeeded, and `lint` has not."""

    def __init__(self) -> None:
        self.history, self.suites = MemoryHistory(), Suites()
        self.reruns = ForgeReruns(self.history, self.suites, SHARDS)

    async def ended(self, run: RunId = RUN, state: RunState = RunState.FAILED, **changes) -> None:
        """A Run that is over."""
        await self.history.create(run, msgspec.structs.replace(first(run), **changes))
        await self.end(run, state)

    async def end(self, run: RunId, state: RunState = RunState.FAILED) -> None:
        asked = [Command(kind=StepKind.JOB, key=k, fingerprint=k) for k in ("unit", "lint")]
        done = Result(kind=StepKind.JOB, key="unit", state=StepState.SUCCEEDED)
        last = msgspec.structs.replace(turn(1), state=state, end=End(state=state),
                                       commands=asked, results=[done])  # fmt: skip
        await self.history.append_turn(run, last, after=0)

    async def press(self, again: Again, delivery: str = "d1", repo: Repo = REPO,
                    commit: str = COMMIT) -> Outcome:  # fmt: skip
        event = Event(kind=EventKind.MANUAL, commit=commit, sender="ada", delivery=delivery)
        return await self.reruns.begin(repo, event, again)

    async def refusal(self, again: Again, **options) -> str:
        """Why nothing began."""
        outcome = await self.press(again, **options)
        assert outcome.runs == []
        (reason,) = outcome.reasons
        return reason


@pytest.fixture
def world() -> World:
    return World()


async def test_a_press_begins_another_attempt_in_the_name_of_who_pressed(world: World) -> None:
    await world.ended()
    assert (await world.press(Again(run=RUN))).runs == [SECOND]
    started = await world.history.started(SECOND)
    assert started is not None and started.rerun is not None
    assert (started.rerun.by, started.rerun.attempt, started.recalled) == ("ada", 2, [])


async def test_the_button_for_what_failed_keeps_what_succeeded(world: World) -> None:
    await world.ended()
    await world.press(Again(run=RUN, failed_only=True))
    started = await world.history.started(SECOND)
    assert started is not None and [one.key for one in started.recalled] == ["unit"]


async def test_the_same_delivery_taken_twice_is_one_attempt(world: World) -> None:
    await world.ended()
    for _ in range(2):
        assert (await world.press(Again(run=RUN))).runs == [SECOND]
    # Also when that attempt is over by then.
    await world.end(SECOND)
    assert (await world.press(Again(run=RUN))).runs == [SECOND]
    assert await world.history.started(THIRD) is None


async def test_who_presses_twice_has_one_attempt_until_it_is_over(world: World) -> None:
    await world.ended()
    await world.press(Again(run=RUN))
    assert f"run {SECOND}, is not over" in await world.refusal(Again(run=RUN), delivery="d2")
    await world.end(SECOND)
    assert (await world.press(Again(run=RUN), delivery="d2")).runs == [THIRD]


async def test_a_run_that_is_not_over_is_not_begun_again(world: World) -> None:
    await world.history.create(RUN, first())
    assert "is not over" in await world.refusal(Again(run=RUN))


@pytest.mark.parametrize(
    "named", ["", "*", "1-0123.>", "git/1", "0-" + "0" * 20, "x" * 300, "1-0123456789abcdef0123"]
)
async def test_a_name_that_is_no_run_of_ours_begins_nothing(world: World, named: str) -> None:
    await world.ended()
    assert "no run" in await world.refusal(Again(run=named))


async def test_the_run_of_another_repository_or_commit_is_as_if_it_were_not(world: World) -> None:
    await world.ended()
    unknown = run_id("nobody")
    expected = (await world.refusal(Again(run=unknown))).replace(unknown, RUN)
    other = msgspec.structs.replace(REPO, id="git/2")
    assert await world.refusal(Again(run=RUN), repo=other) == expected
    elsewhere = await world.refusal(Again(run=RUN), commit="b" * 40)
    assert elsewhere == expected.replace(COMMIT, "b" * 40)


@pytest.mark.parametrize(
    "change",
    [{"fork": Fork(of="0-1", by="eve")}, {"parent": Parent(run="0-1", key="k")}],
    ids=["a fork", "a child"],
)
async def test_what_no_check_shows_cannot_have_been_pressed(world: World, change) -> None:
    await world.ended(**change)
    assert "has no check" in await world.refusal(Again(run=RUN))


async def test_a_chain_is_begun_again_from_its_first_run_once_its_last_is_over(world) -> None:
    await world.ended(state=RunState.CONTINUED)
    last = successor_id(RUN)
    assert "there is no run" in await world.refusal(Again(run=RUN))
    await world.history.create(
        last, msgspec.structs.replace(first(last), continues=Continues(of=RUN, first=RUN, number=1))
    )
    assert "is not over" in await world.refusal(Again(run=RUN))
    await world.end(last)
    failed = rerun_id(last, 2, shards=SHARDS)
    assert (await world.press(Again(run=RUN, failed_only=True), "d2")).runs == [failed]
    assert (await world.press(Again(run=RUN), "d3")).runs == [SECOND]


async def test_all_runs_of_a_suite_are_begun_again_each_once(world: World) -> None:
    other = run_id("another")
    await world.ended()
    await world.ended(other, RunState.SUCCEEDED)
    world.suites.listed["9"] = [RUN, other, RUN, "", "*"]
    outcome = await world.press(Again(suite="9"))
    assert outcome.runs == [SECOND, rerun_id(other, 2, shards=SHARDS)]
    assert len(outcome.reasons) == 2
    assert (await world.press(Again(suite="9"))).runs == outcome.runs


async def test_a_suite_that_cannot_be_listed_is_a_reason_or_waited_for(world: World) -> None:
    assert "no check of ours" in await world.refusal(Again(suite="9"))
    world.suites.fault = SourceRefused("the App was removed")
    assert await world.refusal(Again(suite="9")) == "the App was removed"
    world.suites.fault = SourceUnavailable("it is away")
    with pytest.raises(SourceUnavailable):
        await world.press(Again(suite="9"))
