"""Desk ports: what is needed of the world to have registered Runners. Contracts, as in `ports`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from ci_host.registration import Grant, Registration
from pipelines.cache import Entry
from pipelines.desk import BeatAsked, LogEnd, Settling
from pipelines.job import CancelJob, JobSpec, Lease, LogChunk, Source
from pipelines.shell import Standby


class DeskRefused(Exception):
    """A Runner does not get what it asked for; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class KeptRegistration:
    """As it is stored; `revision` is what a change of it must expect."""

    revision: int
    registration: Registration


class RegistrationStore(Protocol):
    """The registrations of all Runners. Any method may raise Unavailable."""

    async def all(self) -> list[KeptRegistration]:
        """All of them."""

    async def find(self, runner: str) -> KeptRegistration | None:
        """Just this one's."""

    async def write(self, registration: Registration, *, after: int) -> None:
        """Replace it if its revision still is `after` (0: there is none). Raises Conflict."""


class Accounts(Protocol):
    """Who may use the bus, besides the installation itself."""

    @property
    def address(self) -> str:
        """Where Runners of other machines reach the bus; empty: they do not."""

    @property
    def certificate(self) -> bytes:
        """What it shows them, as DER."""

    async def allow(self, grants: Sequence[Grant]) -> None:
        """Just these, from now on; a connection of anybody else is ended. Raises Unavailable."""


class DeskBus(Protocol):
    """The queue, leases, logs and caches, as the desk needs them. Any method may raise Unavailable.

    `token` is what a delivery is settled with: it came from outside, and may be anything.
    """

    async def prepare(self, pool: str) -> None:
        """See that the pool's queues can be pulled from."""

    async def offered(self, token: str, pool: str) -> JobSpec | None:
        """What was delivered under this token; None: it is of no queue of this pool, or over."""

    async def settle(self, token: str, how: Settling, delay_s: float) -> None:
        """Of a token that `offered` knows."""

    async def lease(self, job: str) -> Lease | None:
        """Who holds a Job. A Lease never changes."""

    async def claim(self, lease: Lease) -> Lease:
        """Create it, or answer the one that exists."""

    async def beat(self, runner: str, pool: str, asked: BeatAsked) -> None:
        """Store a Runner's sign of life."""

    async def forget(self, runner: str) -> None:
        """As if it had never been heard."""

    async def heard_at(self, runner: str) -> float | None:
        """When the newest one was stored; None: there is none, or it is too old to be kept."""

    async def cancel_of(self, job: str) -> CancelJob | None:
        """The stored wish."""

    async def cancel(self, wish: CancelJob) -> None:
        """Store and announce it."""

    async def stand_by(self, standby: Standby) -> None:
        """Tell that a Job waits for a terminal; replaces what was told of it."""

    async def log_end(self, job: str) -> LogEnd:
        """Where the stored log ends."""

    async def append(self, job: str, chunk: LogChunk, after: int) -> int:
        """Directly after `after`. Raises Conflict."""

    async def newest(self, subject: str) -> Entry | None:
        """Of all caches that match."""

    async def keep(self, subject: str, entry: Entry) -> None:
        """In the place of the one before."""


class BlobKeeper(Protocol):
    """The blob store, for somebody who may not see all of it. Any method may raise Unavailable."""

    async def part(self, digest: str, shelf: str, offset: int, size: int) -> tuple[bytes, int]:
        """At most `size` bytes from `offset` on, and how many there are. Raises Missing.

        Not checked against the digest: whoever has all parts does.
        """

    async def get(self, digest: str, shelf: str) -> bytes:
        """All of it. Raises Missing and Damaged."""

    async def put(self, digest: str, shelf: str, content: bytes) -> bool:
        """Keep it; False where it is kept already. Raises Damaged if the digest is another."""


class Packs(Protocol):
    """Commits of mirrors as git packs. Blocks: to be called in a thread."""

    def pack(self, source: Source, haves: Sequence[str], piece_bytes: int) -> Iterator[bytes]:
        """What somebody needs of a commit who has others, cut into pieces. Raises Missing."""

    def default_ref(self, source: Source) -> str:
        """Where HEAD leads, or empty."""
