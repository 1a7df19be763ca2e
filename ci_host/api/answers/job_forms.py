"""Job forms: logs, tests, coverage and artifacts of jobs; queue, pools and runners."""

from typing import Literal, NotRequired, TypedDict

from ci_host.api.answers.act_forms import ReportedTest
from ci_host.api.answers.run_forms import Artifact, Coverage
from pipelines.priority import Priority
from pipelines.trust import Tier

# The words of `registration.State`, which are a runner's only in there.
RunnerState = Literal["invited", "joined", "draining", "expired", "spent", "revoked"]


class ArtifactOfJob(Artifact):
    """An artifact, and the attempt that left it."""

    job: str
    key: str
    attempt: int


class Artifacts(TypedDict):
    """What the jobs of a run kept."""

    artifacts: list[ArtifactOfJob]


class ArtifactEntry(TypedDict):
    """A file with its `size`, a link with its `target`, or a folder: as `type` says."""

    type: str
    path: str
    size: NotRequired[int]
    executable: NotRequired[bool]
    target: NotRequired[str]


class ArtifactFiles(TypedDict):
    """The files of an artifact, in the order of their paths."""

    job: str
    name: str
    size: int
    entries: list[ArtifactEntry]


class CoveredFile(TypedDict):
    """Of a file: how many lines could be run, and were."""

    file: str
    covered: int
    lines: int
    percent: float


class CoverageOfJob(Coverage):
    """Of an attempt, also for each file. `files_left_out`: of those counted, so many are not in
    `files`."""

    job: str
    key: str
    attempt: int
    files: list[CoveredFile]
    files_left_out: int


class RunCoverage(TypedDict):
    """The coverage that the jobs of a run reported."""

    run: str
    jobs: list[CoverageOfJob]


class ReportedTests(TypedDict):
    """The tests that the jobs of a run reported."""

    tests: list[ReportedTest]


class TestHistory(TypedDict):
    """One test of a repository. `flaky_commits`: at how many it both passed and failed."""

    suite: str
    name: str
    times: int
    failed: int
    flaky_commits: int
    seconds_p95: float
    last_outcome: str
    last_run: str
    last_at: float


class TestHistories(TypedDict):
    """The flakiest first, then the slowest."""

    tests: list[TestHistory]


class LogLines(TypedDict):
    """Lines of a log, from the number `first` on."""

    first: int
    lines: list[str]


class LogHeading(TypedDict):
    """A line that begins or ends a part of a log."""

    line: int
    text: str


class LogOutline(TypedDict):
    """How long a log is, and where it failed. `headings` null: an older version kept it. `offset`:
    the bytes behind these lines. `is_open`: the last line has no end yet."""

    lines: int
    offset: int
    is_open: bool
    headings: list[LogHeading] | None
    failing: int | None
    state: str
    exit_code: int | None
    is_over: bool


class LogMatches(TypedDict):
    """The numbers of the lines that hold a text. `next`: the following answer's `first`."""

    lines: list[int]
    next: int | None


class TerminalWaitEnded(TypedDict):
    """The job waits for a terminal no more."""

    job: str
    by: str


class PoolQueue(TypedDict):
    """What waits in a pool. `limit`: so many are at work at once; `wanted_slots`: what would do all
    of it at once; `tier` null: it takes everybody's jobs."""

    pool: str
    waiting: int
    at_runners: int
    slots: int
    limit: int | None
    wanted_slots: int
    tier: Tier | None


class Queue(TypedDict):
    """Each pool, by name."""

    pools: list[PoolQueue]


class OpenJob(TypedDict):
    """A job that waits for a runner, or is with one. `phase`: queued or running; `why`: what it
    waits for; `before`: how many go first, as far as is known."""

    job: str
    key: str
    attempt: int
    run: str
    repo: str
    priority: Priority
    pool: str
    phase: str
    runner: str
    since: float
    why: str
    before: int | None
    url: str


class OpenJobs(TypedDict):
    """Those that were asked for first come first."""

    jobs: list[OpenJob]


class JobLimit(TypedDict):
    """How many jobs of a pool or of a repository are at work at once; null: no limit."""

    pool: str
    repo: str
    at_once: int | None


class JobLimits(TypedDict):
    """What has none is not listed."""

    limits: list[JobLimit]


class PoolRule(TypedDict):
    """Whose jobs a pool takes, its labels, and to which pool others are sent on."""

    pool: str
    tier: Tier | None
    untrusted_to: str
    labels: list[str]


class PoolRules(TypedDict):
    """A pool that is not listed takes everybody's jobs, and has no labels."""

    pools: list[PoolRule]


class MovingOfJob(TypedDict):
    """Files of a job on their way, in bytes."""

    doing: str
    done: int
    of: int


class Runner(TypedDict):
    """A runner that is alive, by its last sign of life. `moving`: by job, files on their way."""

    runner: str
    pools: list[str]
    at: float
    slots: int
    version: str
    moving: NotRequired[dict[str, MovingOfJob]]


class Runners(TypedDict):
    """Those that are alive."""

    runners: list[Runner]


class RegisteredRunner(TypedDict):
    """A runner of another machine. `single`: for one job. `heard_at`: its last sign of life."""

    runner: str
    pool: str
    state: RunnerState
    single: bool
    invited_by: str
    invited_at: float
    invited_until: float
    joined_at: float | None
    revoked_by: str
    revoked_at: float | None
    heard_at: float | None


class RegisteredRunners(TypedDict):
    """The newest first. `next`: the following page's `before`."""

    runners: list[RegisteredRunner]
    next: str | None


class InvitedRunner(RegisteredRunner):
    """`join`: the word that the machine joins with, answered once."""

    join: str
