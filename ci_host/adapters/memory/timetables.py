"""MemoryTimetables: schedules in dicts, with a clock that a test moves. Implements Timetables."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec

from ci_host.ports import Conflict
from pipelines.schedule import Alarm, Ring, RunNow, Timetable


@dataclass(frozen=True, slots=True, eq=False)
class MemoryRing:
    """See Owed."""

    item: Ring
    rings: "MemoryRings"
    times: int = 1

    async def done(self) -> None:
        self.rings.owed.pop(id(self.item), None)

    async def later(self, delay_s: float) -> None:
        again = MemoryRing(self.item, self.rings, self.times + 1)
        self.rings.owed[id(self.item)] = again
        self.rings.hand_out(again)

    async def extend(self) -> None:
        """Nobody else takes it."""


class MemoryRings:
    """A Queue of Rings. `lose_handed_out` is what a crash of the engine does."""

    def __init__(self) -> None:
        self.owed: dict[int, MemoryRing] = {}
        self._queue: asyncio.Queue[MemoryRing] = asyncio.Queue()

    def tell(self, ring: Ring) -> None:
        """Something rings."""
        owed = MemoryRing(ring, self)
        self.owed[id(ring)] = owed
        self.hand_out(owed)

    def hand_out(self, owed: MemoryRing) -> None:
        """To whoever waits."""
        self._queue.put_nowait(owed)

    def lose_handed_out(self) -> None:
        """Deliver everything that is owed again, as to an engine that has just started."""
        self._queue = asyncio.Queue()
        for owed in self.owed.values():
            self.hand_out(MemoryRing(owed.item, self, owed.times + 1))

    async def __aiter__(self) -> AsyncIterator[MemoryRing]:
        while True:
            yield await self._queue.get()


class MemoryTimetables:
    """See Timetables. `time` is the store's clock (seconds); `move` advances it."""

    def __init__(self, now: float = 1_000_000_000.0) -> None:
        self.time = now
        self.rings = MemoryRings()
        self.armed: dict[str, float] = {}
        self._tables: dict[str, tuple[int, bytes]] = {}
        self._revision = 0

    async def read(self, repo: str) -> tuple[int, Timetable]:
        if repo not in self._tables:
            return 0, Timetable(repo=repo)
        revision, content = self._tables[repo]
        return revision, msgspec.json.decode(content, type=Timetable)

    async def write(self, table: Timetable, *, after: int) -> int:
        revision, _ = await self.read(table.repo)
        if revision != after:
            raise Conflict(f"the timetable of {table.repo} is at {revision}, not {after}")
        self._revision += 1
        self._tables[table.repo] = (self._revision, msgspec.json.encode(table))
        return self._revision

    async def arm(self, repo: str, due: float) -> None:
        self.armed[repo] = due
        self.move(self.time)

    async def disarm(self, repo: str) -> None:
        self.armed.pop(repo, None)

    async def ask(self, wish: RunNow) -> None:
        self.rings.tell(wish)

    async def now(self) -> float:
        return self.time

    def move(self, now: float) -> None:
        """Advance the clock to `now` (never back); what is due by then rings, in order."""
        self.time = max(self.time, now)
        for due, repo in sorted((due, repo) for repo, due in self.armed.items()):
            if due <= self.time:
                del self.armed[repo]
                self.rings.tell(Alarm(repo=repo, due=due))
