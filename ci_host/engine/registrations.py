"""Registrations: Runners of other machines are invited, enrol, are drained and revoked.

One record for each, changed by compare-and-set; what the bus lets in follows from the records, and
is set anew after each change and at each start: whoever dies in between is made up for.
"""

import asyncio
import base64
import os
import re
from collections.abc import Callable

import nkeys
import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec.structs import replace

from ci_host.desk_ports import Accounts, DeskBus, DeskRefused, KeptRegistration, RegistrationStore
from ci_host.engine.people import PersonRefused
from ci_host.ports import Conflict, Unavailable
from ci_host.registration import INVITED_S_MAX, Registration, State, grant_of
from pipelines.desk import EnrolAsked, Invitation, Standing

POOL = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
NAME = re.compile(r"[A-Za-z0-9-]{1,40}\Z")
EXPIRY_S = 15.0
# Base32 of a prefix, 32 bytes and a check of two.
KEY_CHARS = 56

log = structlog.get_logger()


class Registrations:
    """Over their store, and the accounts of the bus."""

    def __init__(
        self,
        store: RegistrationStore,
        accounts: Accounts,
        bus: DeskBus,
        *,
        now: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._bus = bus
        self._now = now
        self._new_id = new_id
        self._applying = asyncio.Lock()

    # -- people

    async def invite(
        self, pool: str, by: str, *, name: str, is_single: bool, good_for_s: float
    ) -> tuple[Registration, str]:
        """A new registration, and the word that a machine joins with. Raises PersonRefused."""
        self._check(pool, name, good_for_s)
        seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
        now = self._now()
        made = Registration(
            id=f"{name or pool}-{self._new_id()[:10]}",
            pool=pool,
            invitation=_public_of(seed),
            invited_until=now + good_for_s,
            invited_by=by,
            invited_at=now,
            is_single=is_single,
        )
        await self._bus.prepare(pool)
        await self._store.write(made, after=0)
        await self.apply()
        log.info("runner_invited", runner=made.id, pool=pool, by=by)
        invitation = Invitation(
            address=self._accounts.address,
            runner=made.id,
            seed=seed.decode(),
            certificate=self._accounts.certificate,
        )
        return made, invitation.word()

    def _check(self, pool: str, name: str, good_for_s: float) -> None:
        if not self._accounts.address:
            raise PersonRefused(
                409,
                "this installation does not listen for runners of other machines; start it with"
                " `staunch up --runners-listen 0.0.0.0:4222`",
            )
        if not POOL.match(pool):
            raise PersonRefused(422, f"{pool!r} is no name of a pool: letters, digits, _ and -")
        if name and not NAME.match(name):
            raise PersonRefused(422, f"{name!r} is no name of a runner: letters, digits and -")
        if not 0 < good_for_s <= INVITED_S_MAX:
            raise PersonRefused(
                422, f"an invitation is good for a day at most, not for {good_for_s:g} s"
            )

    async def all(self) -> list[Registration]:
        """Every registration, the newest first."""
        kept = [one.registration for one in await self._store.all()]
        return sorted(kept, key=lambda one: -one.invited_at)

    async def revoke(self, runner: str, by: str) -> Registration:
        """Its connections end, and it is let in no more. Raises PersonRefused."""
        made = await self._changed_by_people(
            runner, lambda one: replace(one, revoked_by=by, revoked_at=self._now())
        )
        await self.apply()
        # Its connection has ended: no further sign of life can come.
        await self._bus.forget(runner)
        log.info("runner_revoked", runner=runner, by=by)
        return made

    async def drain(self, runner: str, by: str, *, is_draining: bool) -> Registration:
        """It takes no further Job, or does so again. Raises PersonRefused."""
        made = await self._changed_by_people(
            runner, lambda one: replace(one, is_draining=is_draining)
        )
        log.info("runner_drained", runner=runner, by=by, is_draining=is_draining)
        return made

    async def _changed_by_people(
        self, runner: str, how: Callable[[Registration], Registration]
    ) -> Registration:
        kept = await self._store.find(runner)
        if kept is None:
            raise PersonRefused(
                404, f"no runner {runner!r} is registered; `staunch runner list` has all there are"
            )
        if kept.registration.state(self._now()) in (State.REVOKED, State.SPENT):
            raise PersonRefused(
                409, f"runner {runner} is {kept.registration.state(self._now())} and stays so"
            )
        made = how(kept.registration)
        try:
            await self._store.write(made, after=kept.revision)
        except Conflict as conflict:
            raise PersonRefused(409, f"somebody has just changed runner {runner}") from conflict
        return made

    # -- runners

    async def enrol(self, runner: str, asked: EnrolAsked) -> Standing:
        """The Runner's own key takes the place of its invitation. May be repeated by the same key.

        Raises DeskRefused and Unavailable. The bus lets it in after `apply`.
        """
        kept = await self._store.find(runner)
        now = self._now()
        if kept is None:
            raise DeskRefused(f"no runner {runner!r} was invited")
        found = kept.registration
        if found.key and found.key == asked.key and found.state(now) is State.JOINED:
            return found.standing
        if found.state(now) is not State.INVITED:
            raise DeskRefused(
                f"the invitation of runner {runner} is {found.state(now)}; ask for another one:"
                " `staunch runner add`"
            )
        _check_signature(runner, asked)
        made = replace(found, key=asked.key, joined_at=now)
        try:
            await self._store.write(made, after=kept.revision)
        except Conflict as conflict:
            raise Unavailable(f"runner {runner} has just been changed") from conflict
        log.info("runner_enrolled", runner=runner, pool=made.pool)
        return made.standing

    async def known(self, runner: str) -> Registration:
        """One that may work. Raises DeskRefused."""
        kept = await self._store.find(runner)
        if kept is None or grant_of(kept.registration, self._now()) is None:
            raise DeskRefused(f"runner {runner} is not registered here (any more)")
        return kept.registration

    async def take(self, runner: str, job: str) -> None:
        """Note the one Job of a Runner that is there for one. Raises DeskRefused."""
        kept = await self._store.find(runner)
        if kept is None or not kept.registration.is_single or kept.registration.job == job:
            return
        if kept.registration.job:
            raise DeskRefused(f"runner {runner} was there for job {kept.registration.job} only")
        await self._write(replace(kept.registration, job=job), kept)

    async def spend(self, runner: str, job: str) -> None:
        """The one Job of such a Runner is over, and so is the Runner."""
        kept = await self._store.find(runner)
        if kept is None or not kept.registration.is_single or kept.registration.job != job:
            return
        await self._write(replace(kept.registration, is_spent=True), kept)
        await self._bus.forget(runner)
        log.info("runner_spent", runner=runner, job=job)

    async def _write(self, made: Registration, kept: KeptRegistration) -> None:
        try:
            await self._store.write(made, after=kept.revision)
        except Conflict as conflict:
            raise Unavailable(f"runner {made.id} has just been changed") from conflict

    # -- the bus

    async def apply(self) -> None:
        """Let in who may come, and nobody else. Raises Unavailable."""
        if not self._accounts.address:
            return
        async with self._applying:
            now = self._now()
            granted = (grant_of(one.registration, now) for one in await self._store.all())
            await self._accounts.allow([grant for grant in granted if grant is not None])

    async def serve(self) -> None:
        """See for ever that invitations end, and that what could not be applied is."""
        prepared: set[str] = set()
        while True:
            try:
                for one in await self._store.all():
                    pool = one.registration.pool
                    if pool not in prepared and grant_of(one.registration, self._now()):
                        await self._bus.prepare(pool)
                        prepared.add(pool)
                await self.apply()
            except Unavailable as error:
                log.warning("runners_not_applied", reason=str(error))
            await asyncio.sleep(EXPIRY_S)


def raw_key_of(key: str) -> bytes:
    """The 32 bytes of a user's public key in NATS's form. Raises ValueError for anything else: what
    is no key must not get into the server's accounts, which would all be refused with it."""
    if len(key) != KEY_CHARS or not key.isascii() or not key.startswith("U"):
        raise ValueError("no public key of a user")
    raw = base64.b32decode(key)
    if nkeys.crc16(bytearray(raw[:-2])) != int.from_bytes(raw[-2:], "little"):
        raise ValueError("no public key of a user: its check is wrong")
    return raw[1:-2]


def _public_of(seed: bytes) -> str:
    return str(nkeys.from_seed(bytearray(seed)).public_key.decode())


def _check_signature(runner: str, asked: EnrolAsked) -> None:
    try:
        key = Ed25519PublicKey.from_public_bytes(raw_key_of(asked.key))
        key.verify(asked.signature, EnrolAsked.signed(runner, asked.key))
    except (InvalidSignature, ValueError) as error:
        raise DeskRefused("whoever enrols does not hold the key that is to be enrolled") from error
