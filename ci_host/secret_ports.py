"""Secret ports: what is needed of the world to keep secrets. Contracts, as in `ports`."""

from dataclasses import dataclass
from typing import Protocol

from ci_host.envelopes import KeyRing, StoredSecret
from ci_host.signing_keys import SigningKey
from pipelines.ids import JobId
from pipelines.job import Lease, Source
from pipelines.secret import NamedScope


@dataclass(frozen=True, slots=True)
class KeptSecret:
    """An envelope as it is stored; `revision` is what a change of it must expect."""

    revision: int
    secret: StoredSecret


class FileRefused(Exception):
    """What a commit has there is too large to be read, or no file; the message says which."""


class SecretStore(Protocol):
    """The envelopes of secrets, never a value. Any method may raise Unavailable."""

    async def all(self) -> list[KeptSecret]:
        """All of them."""

    async def find(self, named: NamedScope) -> KeptSecret | None:
        """Just this one."""

    async def write(self, secret: StoredSecret, *, after: int) -> None:
        """Replace it if its revision still is `after` (0: there is none). Raises Conflict."""

    async def remove(self, named: NamedScope) -> None:
        """No error if there is none."""

    async def holder(self, job: JobId) -> Lease | None:
        """Who holds an Attempt."""


class CommitFiles(Protocol):
    """Files of commits that Runs are of. Blocking: call it in a thread; many threads may."""

    def read(self, source: Source, path: str, bytes_max: int) -> bytes | None:
        """Its bytes, or None where the commit has no such file.

        Raises FileRefused, Missing (the commit is gone), Unavailable.
        """


class KeyKeeper(Protocol):
    """The ring of keys under which secrets are kept."""

    def read(self) -> KeyRing:
        """All keys."""

    def add(self) -> KeyRing:
        """A further one, used from now on, where they are ours to make."""

    def keep_only(self, used: set[str]) -> KeyRing:
        """Forget the others, but for the current one."""


class SigningKeys(Protocol):
    """The keys by which identity tokens are signed."""

    def read(self) -> list[SigningKey]:
        """Those that are published; the first one signs."""

    def rotate(self) -> SigningKey:
        """A new one signs from now on."""
