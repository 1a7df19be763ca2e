"""Run forms: a Run as answers have it, with its Steps, Attempts, Turns and what it waits for.

The rows themselves are made in `views.py` and `waiting.py`.
"""

from typing import Any, NotRequired, TypedDict

from pipelines.commands import StepKind, StepState
from pipelines.failure import FailureKind
from pipelines.priority import Priority
from pipelines.run import RunState
from pipelines.trust import Admission, Author, Tier


class Failure(TypedDict):
    """Why a run or a step failed. `type`: the exception's; `file` is relative to the repository;
    lines from 1; `step`: the key of the one that it is about."""

    type: str
    message: str
    kind: FailureKind
    file: str | None
    line: int | None
    traceback: str
    step: str | None


class RunTrust(TypedDict):
    """How far a run's code is trusted; of a pull request also why. `base`: the commit whose
    pipeline runs in place of the change's own; `by`: who approved it; `scope`: of the policy."""

    tier: Tier
    admission: NotRequired[Admission]
    why: NotRequired[str]
    author: NotRequired[Author]
    scope: NotRequired[str]
    by: NotRequired[str]
    base: NotRequired[str]


class RunNote(TypedDict):
    """What a plan says of itself, and how much of how much is done. `words`: in one line."""

    text: str
    done: float | None
    total: float | None
    words: str


class RunUsage(TypedDict):
    """What a run has used of what it may have. `turn_bytes`: of its largest Turn."""

    events: int
    steps: int
    history_bytes: int
    turn_bytes: int


class NearLimit(TypedDict):
    """A limit that a run comes near, and what to do about it. `limit`: its name in the usage."""

    limit: str
    used: int
    max: int
    words: str
    advice: str


class Run(TypedDict):
    """One run, as lists have it. `given`: what it was started with; `output`: what it returned.
    `parent`, `rerun_of`, `origin`, `fork_of`, `continues`, `continued_as`: other runs, or empty."""

    id: str
    repo: str
    repo_name: str
    connection: str
    pipeline: str
    file: str
    bundle: str
    event: str
    ref: str
    commit: str
    sender: str
    title: str
    pull_request: int | None
    state: RunState
    waiting_for: str
    created_at: float
    finished_at: float | None
    turns: int
    parent: str
    parent_step: str
    shards: int
    attempt: int
    rerun_of: str
    origin: str
    fork_of: str
    continues: str
    continued_as: str
    priority: Priority
    is_imported: bool
    error: Failure | None
    output: Any
    given: Any
    trust: RunTrust
    note: RunNote | None
    usage: RunUsage
    warnings: list[NearLimit]
    url: str


class Runs(TypedDict):
    """A page of runs, newest first. `next`: the following page's `before`."""

    runs: list[Run]
    next: float | None


class InputRule(TypedDict):
    """What an input of a gate must be besides its type. `choices` empty: any value."""

    required: bool
    default: Any
    choices: list[Any]
    min: float | None
    max: float | None
    max_length: int | None
    pattern: str
    help: str


class GateTerms(TypedDict):
    """Who may answer a gate and how. `approvers`: names or @teams; none: anybody. `inputs`: types
    by name; `due` null: it waits for ever; `barred` caused the run and may not answer."""

    approvers: list[str]
    needed: int
    inputs: dict[str, str]
    due: float | None
    message: str
    rules: dict[str, InputRule]
    barred: list[str]
    on_timeout: str


class Step(TypedDict):
    """One step. `turn`: in which it was asked for; `gate`, `approved_by`: of a gate; `child`: the
    run that a call is; `recalled_from`: the run whose result it has taken over."""

    key: str
    kind: StepKind
    state: StepState
    attempt: int
    started_at: float
    finished_at: float | None
    due: float | None
    child: str
    recalled_from: str
    turn: int
    gate: GateTerms | None
    approved_by: list[str] | None
    value: Any
    error: Failure | None


class Annotation(TypedDict):
    """A message that belongs to a place in the repository. `level`: error, warning or notice."""

    file: str
    line: int
    message: str
    level: str
    title: NotRequired[str]


class ServiceReport(TypedDict):
    """What became of a service beside a job. `log`: the id of its log."""

    name: str
    state: str
    message: str
    image: str
    seconds: float
    log_bytes: int
    log: str


class TestCounts(TypedDict):
    """The tests that an attempt reported. `left_out`: of those counted, so many are not kept."""

    passed: int
    failed: int
    skipped: int
    seconds: float
    left_out: int


class CoverageBefore(TypedDict):
    """The coverage of the newest earlier run of the same branch, with the same job."""

    run: str
    covered: int
    lines: int
    percent: float


class Coverage(TypedDict):
    """Of all files: the lines that could be run, and were."""

    covered: int
    lines: int
    percent: float
    before: CoverageBefore | None


class Artifact(TypedDict):
    """Files that a job left under a name. `digest`: the SHA-256 of their list."""

    name: str
    digest: str
    size: int
    files: int


class Attempt(TypedDict):
    """One attempt of a job. `job`: its id; `key`: its step's. `state`: queued, running, or how it
    ended. `waited_s`: in the queue. `denied`: what it wanted to reach and was not let."""

    job: str
    key: str
    attempt: int
    pool: str
    state: str
    queued_at: float
    started_at: float | None
    finished_at: float | None
    exit_code: int | None
    message: str
    summary: str
    image: str
    runner: str
    log_bytes: int
    waited_s: float | None
    annotations: list[Annotation]
    left_out: list[str]
    denied: list[str]
    services: list[ServiceReport]
    tests: TestCounts | None
    coverage: Coverage | None
    artifacts: list[Artifact]


class TurnInList(TypedDict):
    """One Turn, with counts of what it took in, asked for and settled. `by`: which engine's."""

    number: int
    at: float
    by: str
    sequence: int
    inputs: int
    commands: int
    results: int
    printed: str


class InputInList(TypedDict):
    """Something that happened to a run, in a few words."""

    sequence: int
    at: float
    type: str
    summary: str


class Restart(TypedDict):
    """A process of the host began."""

    role: str
    incarnation: str
    at: float


class OtherAttempt(TypedDict):
    """A run that is another attempt at the same."""

    run: str
    attempt: int
    state: RunState


class OtherFork(TypedDict):
    """A run that was made from this one."""

    run: str
    state: RunState


class MovingFiles(TypedDict):
    """Files of a job on their way: `done` bytes `of` so many; 0: nobody knows how many."""

    doing: str
    done: int
    of: int
    words: str


class Waiting(TypedDict):
    """Something that a run waits for. What it has beside these five depends on `kind`: pause,
    group, job, gate, signal, call, retry, sleep, timer, engine or nothing."""

    kind: str
    key: str
    words: str
    since: float | None
    until: float | None
    by: NotRequired[str]
    reason: NotRequired[str]
    group: NotRequired[str]
    attempt: NotRequired[int]
    phase: NotRequired[str]
    runner: NotRequired[str]
    pool: NotRequired[str]
    lack: NotRequired[str]
    held: NotRequired[str]
    moving: NotRequired[MovingFiles | None]
    before: NotRequired[int | None]
    approvers: NotRequired[list[str]]
    needed: NotRequired[int]
    inputs: NotRequired[dict[str, str]]
    message: NotRequired[str]
    rules: NotRequired[dict[str, InputRule]]
    barred: NotRequired[list[str]]
    on_timeout: NotRequired[str]
    approved_by: NotRequired[list[str]]
    names: NotRequired[list[str]]
    match: NotRequired[Any]
    run: NotRequired[str]


class TerminalSession(TypedDict):
    """Who had a terminal in which job, from when to when."""

    id: str
    job: str
    by: str
    opened_at: float
    closed_at: float | None
    why: str
    key: str
    attempt: int


class RunDetail(Run):
    """One run with all that belongs to it."""

    waiting: list[Waiting]
    shells: list[TerminalSession]
    steps: list[Step]
    attempts: list[Attempt]
    history: list[TurnInList]
    inputs: list[InputInList]
    restarts: list[Restart]
    reruns: list[OtherAttempt]
    forks: list[OtherFork]
