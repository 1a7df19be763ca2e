"""What the agent needs of the world, as small Protocols, and the records that cross them.

Here: contracts only. The NATS side of them is `link/nats.py`, the one for tests `memory.py`.
"""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from pipelines.cache import Entry
from pipelines.events import JobFinished
from pipelines.job import CancelJob, JobSpec, Lease, LogChunk, Moving, Source
from pipelines.manifest import PIECES
from pipelines.shell import ShellAsked, ShellTold, Standby
from runners.attendance import UNATTENDED_S_MAX

LOG_CHUNK_BYTES_MAX = 256 * 1024
LOG_BYTES_MAX = 1_073_741_824


class Unavailable(Exception):
    """The other side cannot be reached, or did not answer: it may or may not have been done."""


class Conflict(Exception):
    """Somebody wrote after the position that the caller knew of."""


class Missing(Exception):
    """Bytes that should be kept are not, or are not what they were."""


class Refused(Exception):
    """This runner may not run the job; the message names the cause and the fix."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A job handed to this runner. `token` settles it, also from a later process of this runner."""

    spec: JobSpec
    token: str


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stored log ends: the sequence of its last chunk (0: none) and the next offset.

    `kept`: it is kept as a whole, and nothing more can come.
    """

    sequence: int = 0
    offset: int = 0
    kept: bool = False


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The sign of life of one runner; how it is told that a leased job is lost.

    `moving`: of which of its jobs files are on their way.
    """

    runner: str
    pools: list[str]
    at: float
    slots: int
    version: str
    moving: dict[str, Moving] = {}


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A directory that the shim binds where the slot's user can reach it, before it drops rights.

    `source` may lie under a directory that this user cannot enter, such as root's home.
    """

    source: str
    target: str
    # What is written there goes to a layer above it in memory, and the directory stays as it is.
    is_overlaid: bool = False
    # Nothing is written there, nor to what is mounted below it.
    is_read_only: bool = False


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What a shim executes: written by the agent as `launch.json`, so a shim needs no other facts.

    The process finds descriptor 3 to write results to, 4 to read orders from, 5 for bubblewrap's
    report, 6 open on `arguments` (its further arguments, kept out of the visible command line), and
    7 on `filter` (hexadecimal: the program of `seccomp`). After `unattended_s_max` without an agent
    the shim ends the job. `wait_s`: for how long it waits after a step that failed, and the words
    with which somebody then opens a terminal. `by_podman`: podman makes the sandbox, and gives up
    root by itself; `arguments` are lines of the shell, and `filter` is a `seccomp_profile`.
    """

    argv: list[str]
    steps: list["LaunchStep"]
    timeout_s: float
    grace_s: float
    env: dict[str, str] = {}
    arguments: list[str] = []
    filter: str = ""
    cwd: str = "/"
    uid: int | None = None
    gid: int | None = None
    mounts: list[Mount] = []
    namespaced: bool = False
    by_podman: bool = False
    log_bytes_max: int = LOG_BYTES_MAX
    limits: dict[str, int] = {}
    memory_bytes: int = 0
    disk_bytes: int = 0
    egress: "Egress | None" = None
    unattended_s_max: float = UNATTENDED_S_MAX
    image: str = ""
    wait_s: float = 0.0
    wait_hint: str = ""
    services: list["LaunchService"] = []
    network: "LaunchNetwork | None" = None


class LaunchService(msgspec.Struct, frozen=True, kw_only=True):
    """What runs beside the steps, as a Launch says it; all else is as in that one.

    With `is_asked` it answers on descriptor 3, for each line on 4, with an exit code: 0 when it is
    ready; with `port` something listens there then. One that is not ready after `ready_s` failed.
    `volumes`: how many folders it has to write to.
    """

    name: str
    argv: list[str]
    arguments: list[str]
    mounts: list[Mount]
    image: str = ""
    is_asked: bool = False
    port: int = 0
    ready_s: float
    volumes: int = 0


class LaunchNetwork(msgspec.Struct, frozen=True, kw_only=True):
    """A process whose network the sandboxes of a job with services share; it ends when descriptor
    4 is closed."""

    argv: list[str]
    mounts: list[Mount]


class Egress(msgspec.Struct, frozen=True, kw_only=True):
    """What a job may reach, as in `targets`: what the runner allows, less what the job leaves out.

    `private`: hosts with their ports that may have an address that is not on the internet.
    """

    allowed: list[str]
    private: list[str] = []
    narrowed: list[str] = []


class ImageRoot(msgspec.Struct, frozen=True, kw_only=True):
    """An unpacked image: `name@digest`, where its tree is, and the variables that it sets.

    As a service it runs `entrypoint` with `command`, in `cwd`; `volumes`: folders of it that are
    empty, for what it writes.
    """

    image: str
    path: str
    env: dict[str, str]
    entrypoint: list[str] = []
    command: list[str] = []
    cwd: str = "/"
    volumes: list[str] = []


class LaunchStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step as the shim sees it: a name for the log, and a limit."""

    name: str
    timeout_s: float | None = None


class JobQueue(Protocol):
    """Jobs in, leases and reports out. One object serves all slots of an agent concurrently.

    Every method may raise Unavailable and may then be called again; each is harmless when repeated.
    """

    async def next(self) -> Delivery | None:
        """Wait a while for a job; None where none came. A cancelled wait loses no job for good.

        Of those that are there the highest priority comes first, among equals the oldest. The same
        job can come twice, and to two runners: `claim` decides.
        """

    async def claim(self, lease: Lease) -> Lease:
        """Create the lease, or answer the one that exists, whoever holds it; never replaced."""

    async def hold(self, token: str) -> None:
        """Tell the queue that the job is still being worked on."""

    async def done(self, token: str) -> None:
        """Take the job off the queue. Only after its report is durable."""

    async def later(self, token: str, delay_s: float) -> None:
        """Give the job back, to be delivered again after the delay."""

    async def cancel_of(self, job: str) -> CancelJob | None:
        """The stored wish that this Attempt ends, if there is one."""

    async def cancel(self, wish: CancelJob) -> None:
        """Store and announce the wish that an Attempt ends, whoever runs it."""

    def cancels(self) -> AsyncIterator[CancelJob]:
        """New wishes as they come. A hint only: one can be missed while the link is down."""

    async def finish(self, report: JobFinished, run: str) -> None:
        """Make the report durable in the Run's history. Repeats are dropped by the reader."""

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Replace this runner's sign of life."""

    def beats(self) -> AsyncIterator[Heartbeat]:
        """The signs of life of all runners as they come, this one's too. Some can be missed."""

    async def release(self) -> None:
        """Stop taking jobs and give back what was delivered but not yet returned by `next`."""


class LogSink(Protocol):
    """Where a job's log is kept. A chunk is stored only directly after the one the writer knew."""

    async def end_of(self, job: str) -> Position:
        """Where the stored log ends. Raises Unavailable."""

    async def append(self, job: str, chunk: LogChunk, after: int) -> int:
        """Store the chunk after sequence `after` and answer its own.

        Raises Conflict where the log ends elsewhere, Unavailable where nothing is known: in both
        cases ask `end_of` before going on. Raises TooLarge where the chunk cannot be sent at all.
        """


class BlobStore(Protocol):
    """Bytes by their SHA-256 (64 hexadecimal digits). What is there never changes.

    What is on one shelf is not on another: whoever may look on one has no digest of the others.
    Both may raise Unavailable and may then be called again.
    """

    def of(self, job: str) -> "BlobStore":
        """The same store on behalf of a job, which may not be allowed all of it."""

    async def put(self, digest: str, content: bytes, shelf: str = PIECES) -> bool:
        """Keep them; False where they were kept already."""

    async def get(self, digest: str, shelf: str = PIECES) -> bytes:
        """Just these bytes. Raises Missing where they are not there, or damaged."""


class CacheIndex(Protocol):
    """Which caches are kept, by subject (`pipelines.cache`), asked on behalf of a job. Both may
    raise Unavailable, and may then be called again."""

    async def newest(self, job: str, subject: str) -> Entry | None:
        """The newest of all that match the subject, in which a token may be `*`."""

    async def keep(self, job: str, subject: str, entry: Entry) -> None:
        """In the place of what was kept under this very subject."""


class TooLarge(Exception):
    """A chunk does not fit into one message; a smaller one will."""


class SecretSource(Protocol):
    """Whoever opens the secrets of an Attempt for the Runner that holds it."""

    @property
    def verifier(self) -> bytes:
        """By what the other side knows this Runner again: a part of its leases."""

    async def open(self, spec: JobSpec) -> dict[str, str]:
        """The values by variable. Raises Refused with why and what to do, or Unavailable."""


class Visit(Protocol):
    """Somebody whom the host lets open a terminal in a job. All but `frames` may raise Unavailable.

    `asked`: who, and for what. Frames are as in `pipelines.shell`.
    """

    asked: ShellAsked

    async def answer(self, told: ShellTold) -> None:
        """Whether there is a terminal; once, and before any frame."""

    def frames(self) -> AsyncIterator[bytes]:
        """What comes from the host, in order; what came before the answer too."""

    async def send(self, frame: bytes) -> None:
        """A frame for the host, which has it as soon as can be."""

    async def leave(self) -> None:
        """Hear no more. May be repeated; never raises."""


class ShellLink(Protocol):
    """How a runner tells of jobs that wait, and hears of people who look into them."""

    async def stand_by(self, standby: Standby) -> None:
        """Make it known that a job waits; replaces what was said of it. Raises Unavailable."""

    async def visits(self, job: str) -> AsyncIterator[Visit]:
        """Visits of this job from now on, for ever. Raises Unavailable."""


class ImageStore(Protocol):
    """The images that jobs of this runner can have."""

    async def ready(self, reference: str) -> ImageRoot:
        """The root of the image, which may take minutes. Raises Refused."""


class SourceStore(Protocol):
    """The commits of jobs, on a machine that has not the host's mirrors."""

    async def ready(self, spec: JobSpec, blobs: BlobStore) -> Source:
        """The job's source as it is here, which may take minutes. Raises Refused, Unavailable."""


class Executor(Protocol):
    """How the steps of a job are confined. Pure planning: nothing is started or written here."""

    def plan(
        self,
        spec: JobSpec,
        directory: Path,
        slot: int,
        root: ImageRoot | None = None,
        services: Mapping[str, ImageRoot] | None = None,
    ) -> Launch:
        """What a shim must execute, for a directory laid out as in `workspace`, with `root` as its
        root where the job asks for an image; `services`: the roots of those that ask for one.

        Raises Refused where this machine cannot confine the job as it must be; never degrades.
        """
