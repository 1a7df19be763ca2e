"""NatsRegistrations: the Runners of other machines on REGISTRATIONS. See RegistrationStore."""

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, Stored, expected
from ci_host.desk_ports import KeptRegistration
from ci_host.registration import Registration


class NatsRegistrations:
    """One message for each Runner, its newest."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def all(self) -> list[KeptRegistration]:
        found = await self._bus.read(subjects.REGISTRATIONS, "registration.*")
        return [_kept(stored) for stored in found]

    async def find(self, runner: str) -> KeptRegistration | None:
        subject = subjects.registration(runner)
        stored = await self._bus.newest(subjects.REGISTRATIONS, subject)
        return None if stored is None else _kept(stored)

    async def write(self, registration: Registration, *, after: int) -> None:
        subject = subjects.registration(registration.id)
        await self._bus.publish(subject, msgspec.json.encode(registration), expected(after))


def _kept(stored: Stored) -> KeptRegistration:
    return KeptRegistration(stored.sequence, msgspec.json.decode(stored.body, type=Registration))
