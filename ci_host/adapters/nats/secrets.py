"""NatsSecrets: the envelopes of secrets on SECRETS, and who holds an Attempt. See SecretStore."""

import hashlib

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, Stored, expected
from ci_host.envelopes import StoredSecret
from ci_host.secret_ports import KeptSecret
from pipelines.ids import JobId
from pipelines.job import Lease
from pipelines.secret import NamedScope


class NatsSecrets:
    """One message for each Secret, its newest; what is here is never a value."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def all(self) -> list[KeptSecret]:
        found = await self._bus.read(subjects.SECRETS, "secret.*")
        return [_kept(stored) for stored in found]

    async def find(self, named: NamedScope) -> KeptSecret | None:
        stored = await self._bus.newest(subjects.SECRETS, _subject(named))
        return None if stored is None else _kept(stored)

    async def write(self, secret: StoredSecret, *, after: int) -> None:
        subject = _subject(secret.named)
        await self._bus.publish(subject, msgspec.json.encode(secret), expected(after))

    async def remove(self, named: NamedScope) -> None:
        await self._bus.purge(subjects.SECRETS, _subject(named))

    async def holder(self, job: JobId) -> Lease | None:
        stored = await self._bus.newest(subjects.LEASES, subjects.lease(job))
        return None if stored is None else msgspec.json.decode(stored.body, type=Lease)


def _kept(stored: Stored) -> KeptSecret:
    return KeptSecret(stored.sequence, msgspec.json.decode(stored.body, type=StoredSecret))


def _subject(named: NamedScope) -> str:
    return f"secret.{hashlib.sha256(msgspec.json.encode(named)).hexdigest()[:32]}"
