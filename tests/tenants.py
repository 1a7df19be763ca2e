"""Plans driven by hand: sources in, Turns out. For tests of the SDK, the driver and the sandbox."""

import textwrap
from dataclasses import dataclass, field

from ci_host.tenant.host import TenantHost
from ci_host.tenant.sandbox import Tenant, TimedInput, TurnInputs
from pipelines.bundle import Bundle
from pipelines.event import Event, EventKind
from pipelines.events import (
    CancelRequested,
    ChildFinished,
    GateAnswered,
    Input,
    JobFinished,
    RetryRequested,
    RunStarted,
    SignalSent,
    TimerFired,
)
from pipelines.ids import RunId, StepKey, child_id
from pipelines.job import Outcome, Source
from pipelines.run import RunState
from pipelines.turn import TurnOutcome

FILE = ".staunch/pipeline.py"
RUN = "1-0123456789abcdef0123"
BEGIN = 1_000_000.0


def started(file: str = FILE) -> RunStarted:
    """A push to main."""
    return RunStarted(
        run=RUN,
        repo="c/1",
        repo_name="acme/shop",
        connection="c",
        pipeline="pipeline",
        file=file,
        bundle="",
        source=Source(mirror="/m", commit="c0ffee"),
        event=Event(kind=EventKind.PUSH, ref="refs/heads/main", commit="c0ffee", sender="ann"),
    )


def plan(body: str, top: str = "") -> str:
    """A pipeline whose `run` has this body."""
    head = "import asyncio\nimport random\nfrom staunch import *\n"
    indented = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return f"{head}{textwrap.dedent(top)}\nasync def run(event, step):\n{indented}\n"


@dataclass
class Play:
    """One Run. `at` is its time; every Turn is kept, for `replayed`.

    `history_bytes` is what the host says of the next Turn.
    """

    host: TenantHost
    source: str
    seed: str = "seed"
    at: float = BEGIN
    sequence: int = 0
    made: list[tuple[TurnInputs, TurnOutcome]] = field(default_factory=list)
    tenant: Tenant | None = None
    beside: dict[str, str] = field(default_factory=dict)
    history_bytes: int = 0

    def load(self) -> Tenant:
        """A fresh Tenant of the same Run."""
        prepared = self.host.prepare(Bundle(files={FILE: self.source, **self.beside}))
        return self.host.load(prepared, FILE, run=RUN, seed=self.seed, at=BEGIN)

    def turn(self, *inputs: Input, after: float = 1.0) -> TurnOutcome:
        """One Turn, `after` seconds later."""
        if self.tenant is None:
            self.tenant = self.load()
        self.at += after
        timed = []
        for one in inputs:
            self.sequence += 1
            timed.append(TimedInput(self.sequence, self.at, one))
        turn = TurnInputs(timed, history_bytes=self.history_bytes)
        [outcome] = self.tenant.advance([turn])
        self.made.append((turn, outcome))
        return outcome

    def start(self) -> TurnOutcome:
        """The first Turn."""
        return self.turn(started(), after=0.0)

    def job(
        self,
        key: str,
        outcome: Outcome = Outcome.SUCCEEDED,
        attempt: int = 1,
        code: int | None = None,
        after: float = 1.0,
    ) -> TurnOutcome:
        """A Turn with a Runner's report."""
        return self.turn(finished(key, outcome, attempt, code), after=after)

    def wake(self) -> TurnOutcome:
        """The Turn of the timer that the last one wanted."""
        due = self.made[-1][1].wake_at
        assert due is not None, "nothing to wake for"
        return self.turn(TimerFired(due=due), after=max(0.0, due - self.at))

    def replayed(self) -> list[TurnOutcome]:
        """All Turns again in a fresh Tenant, in one call, with what was recorded."""
        tenant = self.load()
        try:
            return tenant.advance(
                [
                    TurnInputs(turn.inputs, outcome.results, turn.history_bytes)
                    for turn, outcome in self.made
                ]
            )
        finally:
            tenant.close()


def finished(
    key: str, outcome: Outcome = Outcome.SUCCEEDED, attempt: int = 1, code: int | None = None
) -> JobFinished:
    """A Runner's report."""
    if code is None and outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
        code = 0 if outcome is Outcome.SUCCEEDED else 1
    return JobFinished(job="j", key=key, attempt=attempt, outcome=outcome, exit_code=code)


def child_finished(key: str, state: RunState, output: object = None) -> ChildFinished:
    """The end of a child."""
    return ChildFinished(
        key=key, run=child_id(RunId(RUN), StepKey(key), 0), state=state, output=output
    )


def approved(key: str, by: str, **inputs: object) -> GateAnswered:
    """A yes."""
    return GateAnswered(id=f"{key}-{by}", key=key, approved=True, by=by, inputs=inputs)


def rejected(key: str, by: str, comment: str = "") -> GateAnswered:
    """A no."""
    return GateAnswered(id=f"{key}-{by}", key=key, approved=False, by=by, comment=comment)


def signal(name: str, payload: object = None, identity: str = "s1") -> SignalSent:
    """A signal."""
    return SignalSent(id=identity, name=name, payload=payload)


def hurried(key: str, attempt: int, identity: str = "r1") -> RetryRequested:
    """The wish that this attempt begins now."""
    return RetryRequested(id=identity, key=key, attempt=attempt, by="ann")


def cancel(identity: str = "c1") -> CancelRequested:
    """The wish that the Run ends."""
    return CancelRequested(id=identity, by="ann")
