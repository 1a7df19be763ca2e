"""Commands and results: what a Turn may ask for and what it found out.

Commands are imperative. Each that creates something carries the fingerprint of what was asked
(kind, name, options), so that replay can tell a changed plan from a repeated one.
"""

from enum import StrEnum
from typing import Any

import msgspec

from pipelines.failure import Failure
from pipelines.group import GroupPolicy
from pipelines.job import JobRequest

# What is shown instead of a sensitive value.
SENSITIVE = "(sensitive)"


class StepKind(StrEnum):
    DO = "do"
    JOB = "job"
    GATE = "gate"
    SLEEP = "sleep"
    WAIT = "wait"
    ROLLBACK = "rollback"
    CALL = "call"


class StepState(StrEnum):
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"


class InputRule(msgspec.Struct, frozen=True, kw_only=True):
    """What an input of a Gate must be besides its type. `required` False: `default` stands for it.

    `choices` empty: any value; else one of these. What fits is decided in `staunch.entered`.
    """

    required: bool = True
    default: Any = None
    choices: list[Any] = []
    min: float | None = None
    max: float | None = None
    max_length: int | None = None
    pattern: str = ""
    help: str = ""


class GateTerms(msgspec.Struct, frozen=True, kw_only=True):
    """Who may open a Gate and how: `approvers` are user names or `@team`; empty means anybody.

    `inputs` maps a name to its type: `str`, `int`, `float` or `bool`; `rules` has more on some of
    them. `due` None: waits for ever; `on_timeout` says what comes then: `raise`, `approve` or
    `reject`. `barred` caused the Run and may not answer, whoever else may.
    """

    approvers: list[str] = []
    needed: int = 1
    inputs: dict[str, str] = {}
    due: float | None = None
    message: str = ""
    rules: dict[str, InputRule] = {}
    barred: list[str] = []
    on_timeout: str = "raise"


class CallRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which pipeline of the same Bundle is called, and with what. `detached`: nobody awaits it."""

    pipeline: str
    file: str
    inputs: Any = None
    detached: bool = False


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One wish of the plan. `kind` says which of the optional parts is there.

    job: `attempt`, `request` · gate: `gate` · sleep: `due` · wait: `signal` (or any of `signals`),
    `due` · call: `call` · do, rollback: none.
    A Job's second Attempt is a command of its own with the same key.
    """

    kind: StepKind
    key: str
    fingerprint: str
    attempt: int = 1
    request: JobRequest | None = None
    gate: GateTerms | None = None
    due: float | None = None
    signal: str | None = None
    signals: list[str] = []
    call: CallRequest | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Step that settled in this Turn, or (`retrying`) an Attempt that another will follow.

    For `do` it is the memo: replay takes `value` or `error` instead of running the code again.
    `sensitive`: the value is for replay alone; whoever shows a Result shows `shown()`.
    `recalled_from`: nothing was done here; it is what an earlier Run of the same found out.
    """

    kind: StepKind
    key: str
    state: StepState
    attempt: int = 1
    value: Any = None
    error: Failure | None = None
    sensitive: bool = False
    recalled_from: str = ""

    def shown(self) -> "Result":
        """As people and programs may see it."""
        return msgspec.structs.replace(self, value=SENSITIVE) if self.sensitive else self


class OpenJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Job still wanted, or (`cancelling`) one whose end is wanted and not yet reported."""

    key: str
    attempt: int
    cancelling: bool = False


class OpenGate(msgspec.Struct, frozen=True, kw_only=True):
    """A Gate still waiting, with the answers that it has accepted so far (names)."""

    key: str
    terms: GateTerms
    approved_by: list[str] = []


class OpenWait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A wait for a Signal called `name`, or for one of `names`, with a payload that has `match`."""

    key: str
    name: str
    due: float | None = None
    names: list[str] = []
    match: dict[str, Any] | None = None


class OpenPause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Step whose `attempt` begins when `due`, or when somebody wants it before."""

    key: str
    attempt: int
    due: float


class OpenCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A child Run whose end is awaited (`cancelling`: wanted), or one that runs by itself."""

    key: str
    cancelling: bool = False
    detached: bool = False


class OpenGroup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The concurrency group of the Run: it waits to enter, has `entered`, or is `leaving`."""

    key: str
    policy: GroupPolicy
    entered: bool = False
    leaving: bool = False


class Open(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything the Run still wants from the world after a Turn; effects are repaired from it."""

    jobs: list[OpenJob] = []
    gates: list[OpenGate] = []
    waits: list[OpenWait] = []
    pauses: list[OpenPause] = []
    calls: list[OpenCall] = []
    group: OpenGroup | None = None
