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
    """One message for each Secret, its newest; what is here is never a value.

    One that was removed is an empty message, for ever: of a subject that is purged the server may,
    after it was killed, have a message again that a newer one had replaced.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def all(self) -> list[KeptSecret]:
        found = await self._bus.read(subjects.SECRETS, "secret.*")
        return [_kept(stored) for stored in found if stored.body]

    async def find(self, named: NamedScope) -> KeptSecret | None:
        stored = await self._bus.newest(subjects.SECRETS, _subject(named))
        return _kept(stored) if stored is not None and stored.body else None

    async def write(self, secret: StoredSecret, *, after: int) -> None:
        subject = _subject(secret.named)
        if not after:
            removed = await self._bus.newest(subjects.SECRETS, subject)
            after = removed.sequence if removed is not None and not removed.body else 0
        await self._bus.publish(subject, msgspec.json.encode(secret), expected(after))

    async def remove(self, named: NamedScope) -> None:
        if await self.find(named) is not None:
            await self._bus.publish(_subject(named), b"")

    async def holder(self, job: JobId) -> Lease | None:
        stored = await self._bus.newest(subjects.LEASES, subjects.lease(job))
        return None if stored is None else msgspec.json.decode(stored.body, type=Lease)


def _kept(stored: Stored) -> KeptSecret:
    return KeptSecret(stored.sequence, msgspec.json.decode(stored.body, type=StoredSecret))


def _subject(named: NamedScope) -> str:
    return f"secret.{hashlib.sha256(msgspec.json.encode(named)).hexdigest()[:32]}"
