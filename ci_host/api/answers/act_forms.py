"""Act forms: what is answered to whoever did something to a Run, or asks why it failed."""

from typing import Any, TypedDict

from ci_host.api.answers.run_forms import Annotation, Failure, GateTerms, Run
from pipelines.run import RunState


class RunsStarted(TypedDict):
    """What a start began. `told`: what is to be said beside."""

    runs: list[str]
    told: str


class RunWaited(TypedDict):
    """The state that a run is in. `run`: the last successor of one that was continued."""

    run: str
    state: RunState
    over: bool


class RunTold(TypedDict):
    """The run was told."""

    run: str


class GateAnswered(TypedDict):
    """The answer at a gate was accepted."""

    run: str
    gate: str
    approved: bool
    by: str


class SignalTaken(TypedDict):
    """The signal was taken."""

    run: str
    signal: str


class RetryBegun(TypedDict):
    """Which attempt of the step begins now."""

    run: str
    step: str
    attempt: int


class Rerun(TypedDict):
    """The next attempt, with how many results of the one before (`of`)."""

    run: str
    attempt: int
    of: str
    recalled: int


class Forked(TypedDict):
    """The new run, with how many results of the one that it was made from (`of`)."""

    run: str
    of: str
    recalled: int


class RunImported(TypedDict):
    """The run whose record was taken in."""

    run: str
    state: RunState


class StoredInput(TypedDict):
    """One input as it is stored; docs/bus.md says what is in its body."""

    sequence: int
    at: float
    body: dict[str, Any]


class StoredTurn(TypedDict):
    """One Turn as it is stored; docs/bus.md says what is in it."""

    sequence: int
    turn: dict[str, Any]


class RunHistory(TypedDict):
    """A run's history. `armed`: when its timer is due."""

    run: str
    armed: float | None
    inputs: list[StoredInput]
    turns: list[StoredTurn]


class ReportedTest(TypedDict):
    """One test as the report of an attempt has it. `outcome`: passed, failed, error or skipped."""

    job: str
    key: str
    attempt: int
    commit: str
    at: float
    suite: str
    name: str
    file: str
    outcome: str
    seconds: float
    message: str


class BrokenJob(TypedDict):
    """The attempt that a failure is about."""

    job: str
    key: str
    attempt: int
    state: str
    exit_code: int | None


class RunFailure(TypedDict):
    """Why a run failed. `failure` null: it did not, or not yet. `log`: the last lines of the job
    that broke; `tests`: some of its tests that failed."""

    run: str
    state: RunState
    url: str
    failure: Failure | None
    job: BrokenJob | None
    annotations: list[Annotation]
    log: list[str]
    tests: list[ReportedTest]


class Gate(TypedDict):
    """A gate of a run, open since `since`. `may_answer`: you may, and have not yet."""

    run: str
    key: str
    repo: str
    pipeline: str
    title: str
    sender: str
    since: float
    approved_by: list[str]
    may_answer: bool
    terms: GateTerms
    url: str


class Gates(TypedDict):
    """Those that wait for longest first. `next`: the following page's `after`."""

    gates: list[Gate]
    next: str | None


class SavedView(TypedDict):
    """A list of runs that somebody has named. `filters`: those of the list of runs, by name."""

    name: str
    filters: dict[str, str]
    at: float
    url: str


class SavedViews(TypedDict):
    """By name."""

    views: list[SavedView]


class ViewDeleted(TypedDict):
    """The name of what is no more."""

    deleted: str


class Branch(TypedDict):
    """A branch with its newest run."""

    ref: str
    run: Run


class Branches(TypedDict):
    """The one with the newest run first."""

    branches: list[Branch]


class BranchRun(TypedDict):
    """A run of a branch, in few words."""

    run: str
    state: RunState
    pipeline: str
    commit: str
    created_at: float
    finished_at: float | None


class BranchHealth(TypedDict):
    """How a branch stands. `median_s`, `p95_s`: so long runs that are over took."""

    repo: str
    ref: str
    succeeded: int
    failed: int
    success_share: float | None
    median_s: float | None
    p95_s: float | None
    runs: list[BranchRun]


class CloudEvent(TypedDict):
    """What happened to a run, as a CloudEvents 1.0 event. `data` depends on `type`."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    data: dict[str, Any]


class Events(TypedDict):
    """Oldest first. `next`: the following page's `after`, and where the stream goes on."""

    events: list[CloudEvent]
    next: int


class SubscriptionTry(TypedDict):
    """What came of one call of a webhook. `said` empty: it was taken. `at`: when."""

    announcement: str
    kind: str
    at: float
    attempt: int
    said: str
    is_over: bool


class Subscription(TypedDict):
    """Whose webhook is called. `repos`, `kinds` empty: for all. `stopped`: why it is called no
    more, or empty. `tries`: the last ones of this host's life, newest first."""

    id: str
    url: str
    repos: list[str]
    kinds: list[str]
    stopped: str
    by: str
    created_at: float
    tries: list[SubscriptionTry]


class SubscriptionWithSecret(Subscription):
    """The secret signs each call; it is answered this once."""

    secret: str


class Subscriptions(TypedDict):
    """In the order in which they were made. `next`: the following page's `after`."""

    subscriptions: list[Subscription]
    next: str | None


class SubscriptionPinged(TypedDict):
    """Whether the call was taken; `said`: what was wrong with the answer."""

    taken: bool
    said: str


class Removed(TypedDict):
    """What is no more."""

    removed: str
