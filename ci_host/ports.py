"""Ports: what the engine needs of the world, each a small Protocol with its contract in prose.

Here are contracts and the records that cross them; adapters are in `adapters/`. Every port has one
contract suite under tests/contract that all its adapters pass.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from pipelines.bundle import Bundle
from pipelines.events import Input, RunStarted
from pipelines.group import Group
from pipelines.ids import Digest, JobId, RunId
from pipelines.job import JobSpec
from pipelines.repo import Connection, DeliveryOutcome, Repo
from pipelines.run import RunState
from pipelines.schedule import RunNow, Timetable
from pipelines.turn import Turn

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Unavailable(Exception):
    """The store did not answer in time. What was asked may or may not have happened: look again."""


class Conflict(Exception):
    """Somebody else wrote first: what the caller knew is old. Drop it, load again, look."""


class Missing(Exception):
    """What was asked for is not there, and waiting will not bring it."""


class Damaged(Exception):
    """A message of a History names bytes that the store has lost; waiting will not bring them.

    Only where a whole History was read: `remains` is the rest of it.
    """

    def __init__(self, message: str, remains: "Remains | None" = None) -> None:
        super().__init__(message)
        self.remains = remains


class NoPipeline(Exception):
    """The commit has no pipeline file: an ordinary answer, not a mistake."""


class SourceRefused(Exception):
    """The repository's content at a commit cannot be used, now or later; the message says why."""


class SourceElsewhere(SourceRefused):
    """The repository, or a commit of it, is not where it is said to be, or is not shown to us."""


class SourceUnavailable(Exception):
    """The repository could not be read for now; the message says why."""


@dataclass(frozen=True, slots=True)
class StoredInput:
    """An input with its place (stream sequence) and its time (the store's, seconds)."""

    sequence: int
    at: float
    input: Input


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A Turn with its place: the sequence that the next append must expect."""

    sequence: int
    turn: Turn


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """One Run's record as of one moment. `armed` is the due time of its pending wake-up."""

    inputs: list[StoredInput] = field(default_factory=list)
    turns: list[StoredTurn] = field(default_factory=list)
    armed: float | None = None


@dataclass(frozen=True, slots=True)
class LostTurn:
    """A Turn of which no more is known than its place, and the Run's state after it."""

    sequence: int
    state: RunState | None


@dataclass(frozen=True, slots=True)
class Remains:
    """What can be read of a History, and the Turns that cannot. An input may be missing as well."""

    stored: StoredHistory
    lost_turns: list[LostTurn]


class HistoryStore(Protocol):
    """The Histories. Safe to use from many tasks of one event loop.

    Every write is durable when it returns, and takes any size. Any method may raise Unavailable,
    and every one that reads Damaged.
    """

    async def create(self, run: RunId, first: RunStarted) -> bool:
        """Begin a History; False, and nothing changed, if it has begun already."""

    async def append_input(self, run: RunId, value: Input, *, after: int | None = None) -> int:
        """Add an input and answer its sequence; it wakes the Run's engine.

        `after`: only if the newest input has this sequence (0: there is none), else Conflict. May
        be repeated after Unavailable: identities in the body make the second harmless.
        """

    async def append_turn(self, run: RunId, turn: Turn, *, after: int) -> int:
        """Commit a Turn and answer its sequence; `after` is that of the Turn before (0: none).

        Raises Conflict if another Turn is there, also when it is this very one (a lost answer).
        """

    async def read(self, run: RunId) -> StoredHistory:
        """Everything, in stream order; empty where there is no such Run."""

    async def inputs_after(
        self, run: RunId, sequence: int, *, at_most: int | None = None
    ) -> list[StoredInput]:
        """The inputs with a higher sequence, in stream order; the first `at_most` of them."""

    async def started(self, run: RunId) -> RunStarted | None:
        """What began the Run; cheap. None where there is no such Run."""

    async def first_turn(self, run: RunId) -> StoredTurn | None:
        """The oldest Turn, with the Run's pins, without reading the rest; None before it."""

    async def last_turn(self, run: RunId) -> StoredTurn | None:
        """The newest Turn; cheap, unless it is large."""

    async def state(self, run: RunId) -> RunState | None:
        """The Run's state after its newest Turn, also if that one is lost; None before it."""

    async def turns_through(self, run: RunId) -> int:
        """The sequence of the newest Turn, also if that one is lost; 0 before the first."""

    async def arm(self, run: RunId, due: float) -> None:
        """Have TimerFired(due) appended to the Run's inputs at `due`; replaces an earlier wish.

        A past due fires at once. It may fire more than once.
        """

    async def disarm(self, run: RunId) -> None:
        """Forget the wish; no error if there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class WakeUp:
    """Somebody wrote to this Run. No more than a hint: the inputs are read from the History.

    `first`: the input itself where it is the one that began the Run, as the History has it. Nothing
    can have come before it, so a first Turn may be made of it without a look; the fence of the
    append tells whether somebody else has made one.
    """

    run: RunId
    sequence: int
    redelivered: bool
    token: object = None
    first: StoredInput | None = None


class WakeUps(Protocol):
    """At-least-once hints that a Run has new inputs, in no particular order."""

    def __aiter__(self) -> AsyncIterator[WakeUp]:
        """Wake-ups as they come, for ever; each stays owed until `done`."""

    async def done(self, wake: WakeUp) -> None:
        """The wake-up's input is consumed and its effects exist; it need not come again."""

    async def later(self, wake: WakeUp, delay_s: float) -> None:
        """Bring it again after a while: the engine could not work (a fault of ours, not a wait)."""

    async def extend(self, wake: WakeUp) -> None:
        """Still at it: do not give it to another engine yet."""


class Jobs(Protocol):
    """The job queue as the engine sees it. All calls may be repeated."""

    async def publish(self, spec: JobSpec) -> None:
        """Offer an Attempt to its pool. A repeated offer is dropped when it is claimed."""

    async def is_claimed(self, job: JobId) -> bool:
        """Whether a Runner holds or held this Attempt."""

    async def cancel(self, job: JobId, reason: str) -> None:
        """Wish for an Attempt's end, durably, whether it is queued, running or long over."""


class Bundles(Protocol):
    """Pipeline code by digest. Content under a digest never changes."""

    async def put(self, bundle: Bundle) -> Digest:
        """Keep a Bundle; no error if it is there."""

    async def get(self, digest: Digest) -> Bundle:
        """Raises Missing."""

    async def put_prepared(self, bundle: Digest, image: Digest, content: bytes) -> bytes:
        """Keep what a guest image made of a Bundle; the first one stays, and is the answer."""

    async def get_prepared(self, bundle: Digest, image: Digest) -> bytes | None:
        """What was kept, or None."""


class Groups(Protocol):
    """The concurrency groups of every Repo: one record each, changed by compare-and-set."""

    async def read(self, repo: str, key: str) -> tuple[int, Group]:
        """(revision, Group); (0, an empty one) where there is none."""

    async def write(self, repo: str, key: str, group: Group, *, after: int) -> None:
        """Replace it if its revision still is `after`. Raises Conflict."""


class Timetables(Protocol):
    """The schedules of every Repo: one record each, changed by compare-and-set, and one alarm.

    What rings is handed out by a Queue of Rings, at least once. Any method may raise Unavailable.
    """

    async def read(self, repo: str) -> tuple[int, Timetable]:
        """(revision, Timetable); (0, an empty one) where there is none."""

    async def write(self, table: Timetable, *, after: int) -> int:
        """Replace it if its revision still is `after`; answers the new one. Raises Conflict."""

    async def arm(self, repo: str, due: float) -> None:
        """Have Alarm(repo, due) rung at `due`; replaces an earlier wish.

        A past due rings at once. It may ring more than once.
        """

    async def disarm(self, repo: str) -> None:
        """Forget the wish; no error if there is none."""

    async def ask(self, wish: RunNow) -> None:
        """Have this rung at once. Durable when it returns."""

    async def now(self) -> float:
        """The store's own time, by which alarms ring, in seconds since the epoch."""


class Catalog(Protocol):
    """The host's own settings: Connections and Repos."""

    async def connection(self, connection: str) -> Connection | None:
        """By id, or None."""

    async def repo(self, repo: str) -> Repo | None:
        """By id (`<connection>/<external id>`), or None."""


class Outcomes(Protocol):
    """Where it is told what became of a Delivery."""

    async def tell(self, outcome: DeliveryOutcome) -> None:
        """Newest per Delivery; may be repeated."""


@dataclass(frozen=True, slots=True)
class Head:
    """The default branch (a full ref) and its newest commit."""

    ref: str
    commit: str


class Source(Protocol):
    """Repositories' content at commits. Blocking: call it in a thread; many threads may."""

    def bundle(self, repo: Repo, commit: str, ref: str) -> Bundle:
        """Fetch if need be, and read the pipeline files at the commit.

        Raises NoPipeline, SourceRefused, SourceUnavailable.
        """

    def fetch(self, repo: Repo, commit: str, ref: str) -> None:
        """Have the commit at hand. Raises SourceRefused, SourceUnavailable."""

    def tip(self, repo: Repo, ref: str) -> str | None:
        """Where a full ref leads now, asked of the repository; None: there is no such ref.

        Raises SourceRefused, SourceUnavailable.
        """

    def is_on(self, repo: Repo, commit: str, ref: str) -> bool:
        """Whether this ref of the repository leads to the commit, at once or by its ancestors.

        Raises SourceRefused, SourceUnavailable.
        """

    def find(self, repo: Repo, name: str, ref: str) -> str:
        """The full id of the commit that a Sought means, in what `ref` leads to or was fetched.

        Raises SourceRefused (none, or more than one), SourceUnavailable.
        """

    def message(self, repo: Repo, commit: str) -> str:
        """What a fetched commit says of itself; empty where it says nothing, or is not there."""

    def changed(
        self, repo: Repo, commit: str, ref: str, *, since: str, base: str
    ) -> list[str] | None:
        """The paths that a fetched commit on `ref` changes; None: nobody can say, or too many.

        Compared with `since`, if the commit goes on from it. Else with what it has in common with
        the ref `base` (empty: the default branch), unless `ref` is that very branch. Raises
        SourceRefused, SourceUnavailable.
        """

    def head(self, repo: Repo) -> Head | None:
        """Where the default branch is now, asked of the repository; None: it has none.

        Raises SourceRefused, SourceUnavailable.
        """

    def keep(self, repo: Repo, commit: str, run: RunId) -> str:
        """Keep the fetched commit for a Run, whatever happens to its branch or its forge.

        Answers the path of the bare mirror that holds it. May be repeated.
        """


class Owed(Protocol, Generic[T_co]):
    """One message handed out. It is owed until `done`: dying or `later` brings it again."""

    @property
    def item(self) -> T_co:
        """What it says."""

    @property
    def times(self) -> int:
        """How often it was handed out, this time included."""

    async def done(self) -> None:
        """It need not come again."""

    async def later(self, delay_s: float) -> None:
        """Bring it again after a while."""

    async def extend(self) -> None:
        """Still at it."""


class Queue(Protocol, Generic[T_co]):
    """An at-least-once feed, in stream order at first delivery."""

    def __aiter__(self) -> AsyncIterator[Owed[T_co]]:
        """Messages as they come, for ever."""


@dataclass(frozen=True, slots=True)
class TurnNews:
    """A Turn as a durable consumer hears of it."""

    run: RunId
    turn: Turn
