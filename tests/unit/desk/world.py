"""A desk in memory, registered runners, and the Run whose jobs they hold."""

import nkeys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ci_host.adapters.memory.desk import MemoryAccounts, MemoryDeskBus, MemoryRegistrations
from ci_host.adapters.memory.history import MemoryHistory
from ci_host.desk_ports import DeskRefused
from ci_host.engine.desk import Desk
from ci_host.engine.registrations import Registrations
from ci_host.registration import Registration
from pipelines.desk import ClaimAsked, EnrolAsked
from pipelines.job import JobSpec, Lease
from tests.engine.secret_world import JOB, RUN, Life, Mortal

__all__ = ["DeskRefused", "World", "nkey_of", "signed"]


def nkey_of(key: Ed25519PrivateKey) -> str:
    """Its public half, in the server's form."""
    seed = nkeys.encode_seed(key.private_bytes_raw(), nkeys.PREFIX_BYTE_USER)
    return str(nkeys.from_seed(bytearray(seed)).public_key.decode())


def signed(runner: str, key: Ed25519PrivateKey) -> EnrolAsked:
    """An honest runner's wish to enrol."""
    public = nkey_of(key)
    return EnrolAsked(key=public, signature=key.sign(EnrolAsked.signed(runner, public)))


class World:
    """Its clock is `now`."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.count = 0
        self.store = MemoryRegistrations()
        self.accounts = MemoryAccounts()
        self.bus = MemoryDeskBus(lambda: self.now)
        self.history = MemoryHistory()
        self.registrations = self.registrations_over()

    def registrations_over(self, life: Life | None = None) -> Registrations:
        """One that dies where `life` ends."""
        ports = (self.store, self.accounts, self.bus)
        mortal = ports if life is None else tuple(Mortal(port, life) for port in ports)
        return Registrations(*mortal, now=lambda: self.now, new_id=self._new_id)

    def desk(self, life: Life | None = None) -> Desk:
        """One that dies where `life` ends."""
        bus, history = self.bus, self.history
        if life is not None:
            bus, history = Mortal(bus, life), Mortal(history, life)
        nothing = None
        return Desk(bus, self.registrations, history, nothing, nothing, now=lambda: self.now)

    def _new_id(self) -> str:
        self.count += 1
        return f"{self.count:010}"

    async def invited(self, pool: str = "far", *, is_single: bool = False) -> Registration:
        """A runner that is to come."""
        made, _ = await self.registrations.invite(
            pool, "ada", name="", is_single=is_single, good_for_s=600.0
        )
        return made

    async def joined(self, pool: str = "far", *, is_single: bool = False) -> str:
        """The name of a runner that has come."""
        made = await self.invited(pool, is_single=is_single)
        asked = signed(made.id, Ed25519PrivateKey.generate())
        await self.registrations.enrol(made.id, asked)
        await self.registrations.apply()
        return made.id

    async def claimed(self, runner: str, spec: JobSpec) -> tuple[str, Lease]:
        """The token of the job's delivery, and the lease that the desk answers."""
        token = self.bus.offer(spec)
        wish = Lease(job=spec.id, key=spec.key, runner="a lie", started_at=0.0)
        return token, await self.desk().claim(runner, ClaimAsked(token=token, lease=wish))


assert JOB.startswith(RUN)
