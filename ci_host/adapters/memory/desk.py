"""The desk's ports in memory: registrations, accounts, and the bus as the desk sees it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ci_host.desk_ports import KeptRegistration
from ci_host.ports import Conflict
from ci_host.registration import Grant, Registration
from pipelines.cache import Entry
from pipelines.desk import BeatAsked, LogEnd, Settling
from pipelines.job import CancelJob, JobSpec, Lease, LogChunk
from pipelines.shell import Standby


class MemoryRegistrations:
    """See RegistrationStore."""

    def __init__(self) -> None:
        self._kept: dict[str, KeptRegistration] = {}
        self._count = 0

    async def all(self) -> list[KeptRegistration]:
        return list(self._kept.values())

    async def find(self, runner: str) -> KeptRegistration | None:
        return self._kept.get(runner)

    async def write(self, registration: Registration, *, after: int) -> None:
        kept = self._kept.get(registration.id)
        if (0 if kept is None else kept.revision) != after:
            raise Conflict(f"runner {registration.id} has been changed")
        self._count += 1
        self._kept[registration.id] = KeptRegistration(self._count, registration)


@dataclass
class MemoryAccounts:
    """See Accounts. `let_in` is whoever may come, by key."""

    address: str = "tls://bus.invalid:4222"
    certificate: bytes = b"certificate"
    let_in: dict[str, Grant] = field(default_factory=dict)

    async def allow(self, grants: Sequence[Grant]) -> None:
        self.let_in = {grant.key: grant for grant in grants}


class MemoryDeskBus:
    """See DeskBus. A delivery's token is `<pool> <job>`; `queue` is what was offered, by token."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.queue: dict[str, JobSpec] = {}
        self.leases: dict[str, Lease] = {}
        self.heard: dict[str, float] = {}
        self.wishes: dict[str, CancelJob] = {}
        self.logs: dict[str, list[tuple[int, LogChunk]]] = {}
        self.caches: dict[str, Entry] = {}
        self.standing_by: dict[str, Standby] = {}
        self.settled: list[tuple[str, Settling]] = []
        self._count = 0

    def offer(self, spec: JobSpec) -> str:
        """Put a job on its queue; answers the token of its delivery."""
        token = f"{spec.request.pool} {spec.id}"
        self.queue[token] = spec
        return token

    async def prepare(self, pool: str) -> None:
        """Every pool can be pulled from."""

    async def offered(self, token: str, pool: str) -> JobSpec | None:
        return self.queue.get(token) if token.partition(" ")[0] == pool else None

    async def settle(self, token: str, how: Settling, delay_s: float) -> None:
        self.settled.append((token, how))
        if how is Settling.DONE:
            self.queue.pop(token, None)

    async def lease(self, job: str) -> Lease | None:
        return self.leases.get(job)

    async def claim(self, lease: Lease) -> Lease:
        return self.leases.setdefault(lease.job, lease)

    async def beat(self, runner: str, pool: str, asked: BeatAsked) -> None:
        self.heard[runner] = self._now()

    async def forget(self, runner: str) -> None:
        self.heard.pop(runner, None)

    async def heard_at(self, runner: str) -> float | None:
        return self.heard.get(runner)

    async def cancel_of(self, job: str) -> CancelJob | None:
        return self.wishes.get(job)

    async def cancel(self, wish: CancelJob) -> None:
        self.wishes[wish.job] = wish

    async def stand_by(self, standby: Standby) -> None:
        self.standing_by[standby.job] = standby

    async def log_end(self, job: str) -> LogEnd:
        chunks = self.logs.get(job)
        if not chunks:
            return LogEnd()
        sequence, chunk = chunks[-1]
        end = chunk.offset + chunk.size
        return LogEnd(sequence=sequence, offset=end, is_kept=bool(chunk.kept))

    async def append(self, job: str, chunk: LogChunk, after: int) -> int:
        chunks = self.logs.setdefault(job, [])
        if (chunks[-1][0] if chunks else 0) != after:
            raise Conflict(f"the log of {job} ends elsewhere")
        self._count += 1
        chunks.append((self._count, chunk))
        return self._count

    async def newest(self, subject: str) -> Entry | None:
        found = (e for s, e in reversed(self.caches.items()) if fnmatchcase(s, subject))
        return next(found, None)

    async def keep(self, subject: str, entry: Entry) -> None:
        self.caches.pop(subject, None)
        self.caches[subject] = entry
