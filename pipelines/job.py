"""Job: work that leaves the plan for a Runner; an Attempt is one try of it.

Here: what is asked of a Runner (JobSpec), and what it answers (JobFinished is in `events`). How a
job is run is the runner's; when it is retried is the plan's own code, in the SDK.
"""

from enum import StrEnum

import msgspec

from pipelines.cache import Cache
from pipelines.priority import Priority
from pipelines.service import Service
from pipelines.trust import Tier

STEPS_PER_JOB_MAX = 200
JOB_TIMEOUT_S_DEFAULT = 3600.0
CANCEL_GRACE_S_DEFAULT = 5.0


class Outcome(StrEnum):
    """How an Attempt ended. `lost`: its runner vanished; `refused`: the runner may not run it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    LOST = "lost"
    REFUSED = "refused"


class ShellStep(msgspec.Struct, frozen=True, kw_only=True):
    """One shell command of a Job; the job stops at the first that fails.

    `cwd` is relative to the workspace. `timeout_s` bounds this command alone.
    """

    run: str
    name: str = ""
    env: dict[str, str] = {}
    cwd: str = "."
    timeout_s: float | None = None


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """Files that a Job left, kept under a name: the SHA-256 of their Manifest, and how much it is.

    It says where to look, and opens nothing: each Repo's are kept apart.
    """

    name: str
    digest: str
    size: int
    files: int


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """The files of an Artifact for a Job's workspace: in the folder `into`, relative to it."""

    digest: str
    name: str = ""
    into: str = "."


class Moving(msgspec.Struct, frozen=True, kw_only=True):
    """Files of a Job on their way: `done` bytes `of` so many, which are 0 while nobody knows."""

    doing: str
    done: int
    of: int = 0


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the plan asks for; a Run adds its identity and source to make a JobSpec.

    `volumes` are names that the runner's operator has bound to directories; each appears, writable,
    under `/volumes/<name>` in the sandbox. A runner that lacks one refuses the job. `reports`: by
    kind (`junit`, `tap`, `cobertura`, `sarif`), patterns of files in the workspace that are read
    when the job is over. `artifacts`: names, each with the patterns of the files that are kept
    under it when the last step is over, however it ended. `files` are there before the first step,
    and so are `caches`, where there are any; they are kept when the job has succeeded. `secrets`:
    names of variables, each with that of the Secret whose value it has. `environment`: what the Job
    works on, such as `production`, which a Secret can be for. `network`: empty, it has none, or
    `egress`: it reaches what its Runner allows, and of that only `egress`, where there is any.
    `id_token`: for whom it wants a token that says whose Job it is; empty: none. `memory_bytes` and
    `disk_bytes`: what it needs at most; 0: what its Runner gives. `image`: what its root is, a name
    that the Runner knows; empty: the Runner's own programs. `isolation`: `sandbox`, where it must
    not run without one; empty: as its Runner does. `services`: what runs beside it, in its network.
    `wait_s`: for how long it waits for a terminal after a step that failed; `debuggers`: who may
    open one, and `@team`. `labels`: those that its Pool must have; `pool` says nothing then.
    """

    steps: list[ShellStep]
    env: dict[str, str] = {}
    timeout_s: float = JOB_TIMEOUT_S_DEFAULT
    pool: str = "default"
    volumes: list[str] = []
    checkout: bool = True
    reports: dict[str, list[str]] | msgspec.UnsetType = msgspec.UNSET
    artifacts: dict[str, list[str]] = {}
    files: list[Placed] = []
    caches: list[Cache] = []
    secrets: dict[str, str] = {}
    environment: str = ""
    network: str = ""
    egress: list[str] = []
    id_token: str = ""
    memory_bytes: int = 0
    disk_bytes: int = 0
    image: str = ""
    isolation: str = ""
    services: list[Service] = []
    wait_s: float = 0.0
    debuggers: list[str] = []
    labels: list[str] = []

    @property
    def is_confided(self) -> bool:
        """Whether values of its variables come from the host, for its Runner's eyes only."""
        return bool(self.secrets or self.id_token)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a Job's files come from: `mirror` is the bare repository on this machine (a path)."""

    mirror: str
    commit: str


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One Attempt, complete: the message on the JOBS stream and the runner's `spec.json`.

    `ref` is the full ref that the Run is of, `base_ref` where a pull request wants to go. What is
    silent about its tier is not trusted. `wait_s`: for how long it waits after a step that failed,
    as the plan or a person wants it.
    """

    id: str
    run: str
    key: str
    attempt: int
    request: JobRequest
    source: Source
    repo: str
    repo_id: str = ""
    context: dict[str, str] = {}
    priority: Priority = Priority.NORMAL
    tier: Tier = Tier.UNTRUSTED
    ref: str = ""
    base_ref: str = ""
    wait_s: float = 0.0


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """A message that belongs to a place in the repository. `level`: error, warning or notice."""

    file: str
    line: int
    message: str
    level: str = "error"
    title: str | msgspec.UnsetType = msgspec.UNSET


class ReportedTest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One test of a Job: `outcome` is passed, failed, error or skipped; `suite` its class."""

    name: str
    outcome: str
    suite: str = ""
    file: str = ""
    seconds: float = 0.0
    message: str = ""


class ReportedTests(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The tests of a Job: counts of all (`failed` with errors), and those that were kept.

    `left_out` is how many of the counted are not in `tests`: never one that failed while one that
    passed is.
    """

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    tests: list[ReportedTest] = []
    left_out: int = 0


class CoveredFile(msgspec.Struct, frozen=True, kw_only=True):
    """Of a file: how many lines could be run, and how many of them were."""

    file: str
    covered: int
    lines: int

    @property
    def percent(self) -> float:
        """Of the lines that could be run; 100 where there are none."""
        return _percent(self.covered, self.lines)


class Coverage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of all files of a Job's coverage: lines that could be run, and were; and files that are kept.

    `left_out` is how many of the counted are not in `files`: those with the fewest lines missed.
    """

    covered: int = 0
    lines: int = 0
    files: list[CoveredFile] = []
    left_out: int = 0

    @property
    def percent(self) -> float:
        """Of the lines that could be run; 100 where there are none."""
        return _percent(self.covered, self.lines)


def _percent(covered: int, lines: int) -> float:
    return round(100 * covered / lines, 2) if lines else 100.0


# Three signs of life of a Runner that did not come.
LEASE_S = 15.0
# Who claims a Job that nobody is to begin any more.
HOST = "host"


class LeaseScope(msgspec.Struct, frozen=True, kw_only=True):
    """Of what the Job of a registered Runner is, so of what that Runner may read and write.

    `repo` is an id; the rest as in the JobSpec.
    """

    pool: str
    repo: str
    tier: Tier
    ref: str
    source: Source


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The claim of one Attempt by one Runner: created once, before any work, never taken over.

    Stored create-only under the job's id; it is also how everybody learns that a job started.
    `lease_s`: after so many seconds without a sign of life of the Runner the job counts as lost.
    `verifier`: the public key of the Runner, by which it proves to be the holder (Ed25519).
    `scope` is written by the host, for a registered Runner.
    """

    job: str
    key: str
    runner: str
    started_at: float
    lease_s: float = LEASE_S
    verifier: bytes = b""
    scope: LeaseScope | msgspec.UnsetType = msgspec.UNSET


class LogChunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a job's log: `offset` counts bytes from the start of this Attempt's log.

    The identity of a chunk is (job, offset). `text` is valid UTF-8; bytes that were not are shown
    as U+FFFD, and `size` is the number of raw bytes the chunk stands for. The last one of a log
    that is kept as a whole is empty; its `kept` is the digest of the index (`pipelines.kept_log`).
    """

    offset: int
    size: int
    at: float
    text: str
    kept: str = ""


class CancelJob(msgspec.Struct, frozen=True, kw_only=True):
    """The wish that an Attempt ends: durable, and harmless when repeated."""

    job: str
    reason: str = ""
