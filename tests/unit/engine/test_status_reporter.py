"""StatusReporter: what Turns mean for a commit gets into the outbox, and nothing stops it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec
import pytest

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.engine import statuses
from ci_host.engine.statuses import StatusReporter
from ci_host.ports import TurnNews
from pipelines.commands import Result, StepKind, StepState
from pipelines.events import RunStarted
from pipelines.ids import RunId
from pipelines.run import RunState
from pipelines.status import Status
from pipelines.turn import End
from tests.contract.test_history_store import RUN, first, turn

pytestmark = pytest.mark.anyio


@dataclass
class Told:
    """One Turn that is owed."""

    item: TurnNews
    is_done: bool = False
    times: int = 1

    async def done(self) -> None:
        self.is_done = True

    async def later(self, delay_s: float) -> None:
        raise AssertionError("no status may overtake another")

    async def extend(self) -> None:
        """It is told at once here."""


@dataclass
class Outbox:
    """Keeps what is put."""

    kept: list[Status] = field(default_factory=list)

    async def put(self, status: Status) -> None:
        self.kept.append(status)


@dataclass
class Feed:
    """These Turns, once each."""

    told: list[Told]

    async def __aiter__(self) -> AsyncIterator[Told]:
        for one in self.told:
            yield one


async def test_a_turn_that_cannot_be_reported_stops_nobody() -> None:
    history, outbox = MemoryHistory(), Outbox()
    await history.create(RUN, first())
    by_nobody = Result(kind=StepKind.GATE, key="ship", state=StepState.SUCCEEDED, value=None)
    without_sense = msgspec.structs.replace(turn(2), results=[by_nobody])
    end = End(state=RunState.SUCCEEDED)
    turns = [turn(1), without_sense, msgspec.structs.replace(turn(3), state=end.state, end=end)]
    told = [Told(TurnNews(RUN, one)) for one in turns]
    await StatusReporter(Feed(told), history, outbox, "http://ci", lambda _: False).serve()
    assert [one.is_done for one in told] == [True] * 3
    assert [status.state for status in outbox.kept] == ["pending", "success"]


class Lagging(MemoryHistory):
    """A store of which the server that is asked first does not have the Run yet."""

    looks = 0

    async def started(self, run: RunId) -> RunStarted | None:
        self.looks += 1
        return None if self.looks == 1 else await super().started(run)


async def test_the_first_status_of_a_run_is_not_lost_because_the_run_is_not_seen_yet() -> None:
    history, outbox = Lagging(), Outbox()
    await history.create(RUN, first())
    told = [Told(TurnNews(RUN, turn(1)))]
    await StatusReporter(Feed(told), history, outbox, "http://ci", lambda _: False).serve()
    assert (history.looks, [status.state for status in outbox.kept]) == (2, ["pending"])


async def test_a_turn_of_a_run_that_nobody_began_is_let_go_of_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statuses, "OUTBOX_RETRY_S", 0.0)
    told, outbox = [Told(TurnNews(RUN, turn(1)))], Outbox()
    await StatusReporter(Feed(told), MemoryHistory(), outbox, "http://ci", lambda _: False).serve()
    assert (told[0].is_done, outbox.kept) == (True, [])
