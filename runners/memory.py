"""The ports in memory: the same contracts without a server, for tests and simulation."""

import asyncio
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase

from pipelines.cache import Entry
from pipelines.events import JobFinished
from pipelines.job import CancelJob, JobSpec, Lease, LogChunk
from pipelines.priority import LEVELS
from pipelines.shell import ShellAsked, ShellTold, Standby
from runners.ports import Conflict, Delivery, Heartbeat, Position, Unavailable, Visit


class MemoryLink:
    """JobQueue, LogSink and CacheIndex of one imaginary bus; several agents may share it.

    `down` makes every call raise Unavailable. `lose_answers` lets the next n calls of `append`
    be done and yet raise, as a lost acknowledgement does.
    """

    def __init__(self) -> None:
        self.jobs: asyncio.PriorityQueue[tuple[int, int, Delivery]] = asyncio.PriorityQueue()
        self._offered = 0
        self.leases: dict[str, Lease] = {}
        self.wishes: dict[str, CancelJob] = {}
        self.caches: dict[str, Entry] = {}
        self.reports: list[JobFinished] = []
        self.chunks: dict[str, list[tuple[int, LogChunk]]] = {}
        self.settled: list[str] = []
        self.held: list[str] = []
        self.returned: list[tuple[str, float]] = []
        self.down = False
        self.lose_answers = 0
        self._sequence = 0
        self._followers: list[asyncio.Queue[CancelJob]] = []
        self._listeners: list[asyncio.Queue[Heartbeat]] = []

    def offer(self, spec: JobSpec, token: str = "") -> None:
        """Put a job on the queue."""
        self._offered += 1
        delivery = Delivery(spec=spec, token=token or f"token-of-{spec.id}")
        self.jobs.put_nowait((LEVELS.index(spec.priority), self._offered, delivery))

    def text_of(self, job: str) -> str:
        """The stored log."""
        return "".join(chunk.text for _, chunk in self.chunks.get(job, []))

    async def next(self) -> Delivery | None:
        """The most important that was offered, then the oldest."""
        self._check()
        return (await self.jobs.get())[2]

    async def claim(self, lease: Lease) -> Lease:
        """The first one stays."""
        self._check()
        return self.leases.setdefault(lease.job, lease)

    async def hold(self, token: str) -> None:
        """Noted in `held`."""
        self._check()
        self.held.append(token)

    async def done(self, token: str) -> None:
        """Noted in `settled`."""
        self._check()
        self.settled.append(token)

    async def later(self, token: str, delay_s: float) -> None:
        """Noted in `returned`; nothing comes back by itself."""
        self._check()
        self.returned.append((token, delay_s))

    async def cancel_of(self, job: str) -> CancelJob | None:
        """The stored wish."""
        self._check()
        return self.wishes.get(job)

    async def cancel(self, wish: CancelJob) -> None:
        """The newest wish stays."""
        self._check()
        self.wishes[wish.job] = wish
        for follower in self._followers:
            follower.put_nowait(wish)

    async def cancels(self) -> AsyncIterator[CancelJob]:
        """Every later `cancel`."""
        follower: asyncio.Queue[CancelJob] = asyncio.Queue()
        self._followers.append(follower)
        while True:
            yield await follower.get()

    async def finish(self, report: JobFinished, run: str) -> None:
        """Noted in `reports`."""
        self._check()
        self.reports.append(report)

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Told to all who listen."""
        self._check()
        for listener in self._listeners:
            listener.put_nowait(heartbeat)

    async def beats(self) -> AsyncIterator[Heartbeat]:
        """Every later `beat`."""
        listener: asyncio.Queue[Heartbeat] = asyncio.Queue()
        self._listeners.append(listener)
        while True:
            yield await listener.get()

    async def release(self) -> None:
        """Nothing is handed out ahead of time here."""

    async def end_of(self, job: str) -> Position:
        """Read off the last chunk."""
        self._check()
        chunks = self.chunks.get(job)
        if not chunks:
            return Position()
        sequence, chunk = chunks[-1]
        end = chunk.offset + chunk.size
        return Position(sequence=sequence, offset=end, kept=bool(chunk.kept))

    async def append(self, job: str, chunk: LogChunk, after: int) -> int:
        """Only directly after `after`."""
        self._check()
        chunks = self.chunks.setdefault(job, [])
        last = chunks[-1][0] if chunks else 0
        if last != after:
            raise Conflict(f"the log of {job} ends at {last}, not at {after}")
        self._sequence += 1
        chunks.append((self._sequence, chunk))
        if self.lose_answers > 0:
            self.lose_answers -= 1
            raise Unavailable("the answer was lost")
        return self._sequence

    async def newest(self, job: str, subject: str) -> Entry | None:
        """The last that was kept."""
        self._check()
        for name, entry in reversed(self.caches.items()):
            if fnmatchcase(name, subject):
                return entry
        return None

    async def keep(self, job: str, subject: str, entry: Entry) -> None:
        """It becomes the newest."""
        self._check()
        self.caches.pop(subject, None)
        self.caches[subject] = entry

    def _check(self) -> None:
        if self.down:
            raise Unavailable("the bus is away")


class MemoryShells:
    """ShellLink in memory: a test plays the host with `visit`."""

    def __init__(self) -> None:
        self.standing_by: dict[str, Standby] = {}
        self.down = False
        self._asks: dict[str, asyncio.Queue[MemoryVisit]] = {}

    def visit(self, asked: ShellAsked) -> "MemoryVisit":
        """Somebody comes. Nobody hears it of a job that nobody listens for."""
        made = MemoryVisit(asked)
        if asked.job in self._asks:
            self._asks[asked.job].put_nowait(made)
        return made

    async def stand_by(self, standby: Standby) -> None:
        """The newest stays."""
        if self.down:
            raise Unavailable("the bus is away")
        self.standing_by[standby.job] = standby

    async def visits(self, job: str) -> AsyncIterator[Visit]:
        """Every later `visit`."""
        if self.down:
            raise Unavailable("the bus is away")
        return self._visits(self._asks.setdefault(job, asyncio.Queue()))

    async def _visits(self, asks: "asyncio.Queue[MemoryVisit]") -> AsyncIterator[Visit]:
        while True:
            yield await asks.get()


class MemoryVisit:
    """Visit in memory: what the runner said is in `told` and `said`."""

    def __init__(self, asked: ShellAsked) -> None:
        self.asked = asked
        self.told: ShellTold | None = None
        self.said: list[bytes] = []
        self._frames: asyncio.Queue[bytes] = asyncio.Queue()

    def type(self, frame: bytes) -> None:
        """A frame of the host's."""
        self._frames.put_nowait(frame)

    async def answer(self, told: ShellTold) -> None:
        """Noted in `told`."""
        self.told = told

    async def frames(self) -> AsyncIterator[bytes]:
        """Every `type`."""
        while True:
            yield await self._frames.get()

    async def send(self, frame: bytes) -> None:
        """Noted in `said`."""
        self.said.append(frame)

    async def leave(self) -> None:
        """Nothing is left behind."""
