"""Turn: one wake-up of a Run, committed as one message. What it holds, and what replay demands.

`TurnOutcome` is what the guest answers (see docs/abi.md); `Turn` is that plus the host's part:
number, inputs consumed, pins and the engine that made it. A Turn is never rewritten.
"""

from typing import Any

import msgspec

from pipelines.commands import Command, Open, Result
from pipelines.continuation import Continuation
from pipelines.failure import Failure
from pipelines.note import Note
from pipelines.run import RunState
from pipelines.usage import Usage

TURN_BYTES_MAX = 32_000_000
# The digest of a Turn that its plan did not decide: replay has nothing to compare it with.
ENDED_BY_HOST = "ended-by-host"


class End(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the Run ended: `state` is final; `output` is what `run` returned.

    `continuation`: the Run is `continued`, and this is what its successor begins with.
    """

    state: RunState
    output: Any = None
    error: Failure | None = None
    continuation: Continuation | None = None


class Pins(msgspec.Struct, frozen=True, kw_only=True):
    """What a Run is bound to for life: the load path is a part of the trace."""

    image: str
    bundle: str
    prepared: str
    codec: int
    boot: str


class Paused(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who holds the Run, and since when (seconds since the epoch)."""

    by: str
    since: float
    reason: str = ""


class TurnOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the guest decided in one Turn.

    `now` is the Run's time after it; `wake_at` the earliest time at which it wants to be woken;
    `digest` covers commands, results and end: equal digests mean an equal decision. `note` is the
    last that the plan said in this Turn; None: it said nothing new. `steps`: how many the Run has
    asked for so far.
    """

    now: float
    digest: str
    commands: list[Command] = []
    results: list[Result] = []
    open: Open = Open()
    wake_at: float | None = None
    end: End | None = None
    printed: str = ""
    note: Note | None = None
    steps: int = 0


class Turn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One committed Turn. `consumed` are the stream sequences of its inputs, in stream order;
    `through` is the highest input sequence that needs no further look. A `paused` Run
    makes no Turn before it is resumed, cancelled or killed. `usage` is the Run's as of its end;
    None in a Turn that was made before that was counted."""

    number: int
    consumed: list[int]
    through: int
    by: str
    now: float
    digest: str
    state: RunState
    commands: list[Command] = []
    results: list[Result] = []
    open: Open = Open()
    wake_at: float | None = None
    end: End | None = None
    printed: str = ""
    note: Note | None = None
    pins: Pins | None = None
    paused: Paused | None = None
    usage: Usage | None = None

    def shown(self) -> "Turn":
        """As people and programs may see it."""
        return msgspec.structs.replace(self, results=[result.shown() for result in self.results])


class Divergence(Exception):
    """Replay decided something else than the History says: the plan's code is not what it was."""

    def __init__(self, number: int, recorded: str, attempted: str) -> None:
        super().__init__(
            f"turn {number} was recorded as {recorded}, but replay attempted {attempted}. The run's"
            " code or guest image is not the one it began with; nothing was reused."
        )
        self.recorded, self.attempted = recorded, attempted


class Unrepeatable(Exception):
    """A Turn decides something else when its Run is replayed for it: the plan kept a state that is
    not in its History."""

    def __init__(self, number: int, lived: str, replayed: str) -> None:
        super().__init__(
            f"turn {number} decides {lived}, but after a replay it would decide {replayed}. What"
            " the function of a step changes outside of itself is not there after a replay: return"
            " it from the function instead."
        )


def check_replay(recorded: Turn, replayed: TurnOutcome) -> None:
    """Assert that a replayed Turn decided what is recorded.

    Raises Divergence naming the first command that differs.
    """
    if recorded.digest == replayed.digest:
        return
    old, new = _labels(recorded.commands), _labels(replayed.commands)
    for index in range(max(len(old), len(new))):
        was = old[index] if index < len(old) else "no further step"
        now = new[index] if index < len(new) else "no further step"
        if was != now:
            raise Divergence(recorded.number, was, now)
    for was, now in zip(_ends(recorded.results), _ends(replayed.results), strict=False):
        if was != now:
            raise Divergence(recorded.number, was, now)
    raise Divergence(recorded.number, _summary(recorded), _summary(replayed))


def _labels(commands: list[Command]) -> list[str]:
    return [f"{c.kind} {c.key!r} (attempt {c.attempt}, {c.fingerprint})" for c in commands]


def _ends(results: list[Result]) -> list[str]:
    return [f"{r.kind} {r.key!r} (attempt {r.attempt}) {r.state}" for r in results]


def _summary(turn: Turn | TurnOutcome) -> str:
    end = turn.end.state if turn.end else "waiting"
    why = (
        f" ({turn.end.error.type}: {turn.end.error.message})" if turn.end and turn.end.error else ""
    )
    return f"{end}{why} with {len(turn.results)} results"
