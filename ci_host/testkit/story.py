"""Story: one Run's History as it is made: inputs in, Turns out, each played again at once.

The driver, the ledger and the rules are those of engines: `HistoryView` folds the Turns, and
`check_replay` compares. With hibernation each Turn is decided a second time, by a plan that was
made anew of what is recorded: one that always started anew would never be seen to differ.
"""

import hashlib
from dataclasses import dataclass, field

import msgspec
from staunch.ledger import Site

from ci_host.tenant.host import TenantHost
from ci_host.tenant.sandbox import Tenant, TenantFailed, TimedInput, TurnInputs
from ci_host.testkit.errors import BrokenPipeline, Nondeterministic
from ci_host.testkit.script import Script
from pipelines.bundle import Prepared
from pipelines.codec import encode_input, encode_turn
from pipelines.events import Input, RunStarted
from pipelines.history import HistoryView
from pipelines.run import FINAL, RunState
from pipelines.turn import Divergence, Turn, TurnOutcome, check_replay

BY = "staunch.testing"
# So many Turns are each verified at once, those after them together, now and then and at the end:
# else a test would take time by the square of its Turns.
VERIFIED_AT_ONCE = 50
VERIFIED_EVERY = 1.1


@dataclass(slots=True)
class Story:
    """`at` is when the Run was created; `hibernate`: after every Turn."""

    host: TenantHost
    prepared: Prepared
    started: RunStarted
    script: Script
    at: float
    hibernate: bool = True
    inputs: list[TimedInput] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    view: HistoryView = field(default_factory=HistoryView)
    _played: list[TurnInputs] = field(default_factory=list)
    _tenant: Tenant | None = None
    _sequence: int = 0
    _verify_at: float = 0.0

    def turn(self, what: Input, at: float) -> Turn:
        """What the plan decides because of this. Raises Nondeterministic, BrokenPipeline."""
        self._sequence += 1
        given = TimedInput(self._sequence, max(at, self.view.now), what)
        inputs = TurnInputs([given], history_bytes=self.view.usage.history_bytes)
        if self._tenant is None:
            self._tenant = self._load()
        try:
            (outcome,) = self._tenant.advance([inputs])
        except TenantFailed as error:
            raise BrokenPipeline(str(error)) from error
        self._sequence += 1
        turn = self._recorded(given, outcome)
        self.inputs.append(given)
        self.turns.append(turn)
        self.view = self.view.after(turn, self._sequence)
        self._played.append(
            TurnInputs(inputs.inputs, turn.results, history_bytes=inputs.history_bytes)
        )
        if self.hibernate and (turn.number >= self._verify_at or turn.end is not None):
            self._verify()
            if turn.number >= VERIFIED_AT_ONCE:
                self._verify_at = turn.number * VERIFIED_EVERY
        return turn

    def close(self) -> None:
        """Let go of the plan."""
        if self._tenant is not None:
            self._tenant.close()
            self._tenant = None

    def _load(self) -> Tenant:
        seed = hashlib.sha256(self.started.run.encode()).hexdigest()
        try:
            return self.host.load(
                self.prepared, self.started.file, run=self.started.run, seed=seed, at=self.at
            )
        except TenantFailed as error:
            raise BrokenPipeline(str(error)) from error

    def _recorded(self, given: TimedInput, outcome: TurnOutcome) -> Turn:
        state = outcome.end.state if outcome.end is not None else RunState.RUNNING
        assert outcome.end is None or state in FINAL, "an end is final"
        turn = Turn(
            number=self.view.number + 1,
            consumed=[given.seq],
            through=given.seq,
            by=BY,
            now=max(self.view.now, outcome.now),
            digest=outcome.digest,
            state=state,
            commands=outcome.commands,
            results=outcome.results,
            open=outcome.open,
            wake_at=outcome.wake_at,
            end=outcome.end,
            printed=outcome.printed,
            note=outcome.note,
        )
        usage = self.view.usage.plus(
            events=1,
            steps=outcome.steps,
            input_bytes=len(encode_input(given.body)),
            turn_bytes=len(encode_turn(turn)),
        )
        return msgspec.structs.replace(turn, usage=usage)

    def _verify(self) -> None:
        """Have a new plan, that knows only the record, decide it all. Raises Nondeterministic."""
        lived, self.script.sites = self.script.sites, {}
        tenant = self._load()
        try:
            outcomes = tenant.advance(self._played)
        finally:
            tenant.close()
            replayed, self.script.sites = self.script.sites, lived
        for turn, outcome in zip(self.turns, outcomes, strict=True):
            try:
                check_replay(turn, outcome)
            except Divergence as found:
                raise Nondeterministic(_told(turn, outcome, found, lived, replayed)) from None


def _told(
    turn: Turn,
    outcome: TurnOutcome,
    found: Divergence,
    lived: dict[str, Site],
    replayed: dict[str, Site],
) -> str:
    was, now = _first_difference(turn, outcome)
    return (
        f"turn {turn.number} decided {found.recorded}{_place(lived.get(was))}, but played again"
        f" from its history it decides {found.attempted}{_place(replayed.get(now))}. Something"
        " that is not in the history decides here: what a step's function changed outside of"
        " itself, a set's order, an address. Return it from the function of a step.do instead."
    )


def _first_difference(turn: Turn, outcome: TurnOutcome) -> tuple[str, str]:
    """The keys of the steps in which they differ; empty where there is none."""
    for old, new in (
        ([(c.key, c.fingerprint) for c in one.commands] for one in (turn, outcome)),
        ([(r.key, str(r.state)) for r in one.results] for one in (turn, outcome)),
    ):
        for index in range(max(len(old), len(new))):
            was = old[index] if index < len(old) else ("", "")
            now = new[index] if index < len(new) else ("", "")
            if was != now:
                return was[0], now[0]
    return "", ""


def _place(site: Site | None) -> str:
    return f" ({site.file}:{site.line})" if site is not None else ""
