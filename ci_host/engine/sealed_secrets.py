"""Sealed secrets: those in a repository's own file, and the identities that open them.

A Repo has an identity of its own, so that a file from another repository is worth nothing here. It
is kept as an envelope like any Secret, under a name that no Secret can have, and no Job is told it.
"""

import asyncio
from collections.abc import Callable

import structlog

from ci_host.engine.people import PersonRefused
from ci_host.envelopes import open_envelope, seal
from ci_host.ports import Conflict
from ci_host.sealed_file import (
    FILE_BYTES_MAX,
    PATH,
    SealedFileRefused,
    entries_of,
    new_identity,
    opened_value,
    recipient_of,
)
from ci_host.secret_ports import CommitFiles, KeptSecret, KeyKeeper, SecretStore
from pipelines.job import Source
from pipelines.secret import NamedScope, Scope

IDENTITY = "age-identity"
IDENTITIES_MAX = 5

log = structlog.get_logger()


class SealedSecrets:
    """Over the store of envelopes; `changing` is held while an envelope comes to be."""

    def __init__(
        self,
        store: SecretStore,
        keys: KeyKeeper,
        files: CommitFiles,
        changing: asyncio.Lock,
        *,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._keys = keys
        self._files = files
        self._changing = changing
        self._now = now

    async def recipients(self, repo: str, by: str) -> list[str]:
        """The Repo's public keys, the one to use first; its first is made if there is none.

        Raises PersonRefused.
        """
        async with self._changing:
            kept = await self._store.find(_named(repo))
            identities = self._identities(kept) or await self._write(
                repo, kept, [new_identity()], by
            )
        return [recipient_of(one) for one in identities]

    async def rotate(self, repo: str, by: str) -> list[str]:
        """A new one to use from now on; the older ones open still. Raises PersonRefused."""
        async with self._changing:
            kept = await self._store.find(_named(repo))
            identities = [new_identity(), *self._identities(kept)]
            if len(identities) > IDENTITIES_MAX:
                raise PersonRefused(
                    409,
                    f"the repository has {IDENTITIES_MAX} public keys already; drop the older ones"
                    " first, with `staunch secret drop-public-keys`",
                )
            await self._write(repo, kept, identities, by)
        return [recipient_of(one) for one in identities]

    async def drop_older(self, repo: str, by: str) -> int:
        """Only the newest opens from now on; answers how many are gone. Raises PersonRefused."""
        async with self._changing:
            kept = await self._store.find(_named(repo))
            identities = self._identities(kept)
            if len(identities) > 1:
                await self._write(repo, kept, identities[:1], by)
        return max(0, len(identities) - 1)

    async def find(self, repo: str, source: Source, names: list[str]) -> dict[str, str]:
        """The values of those names that the file at the commit has.

        Raises SealedFileRefused, Missing, Unavailable, Unopenable.
        """
        content = await asyncio.to_thread(self._files.read, source, PATH, FILE_BYTES_MAX)
        if content is None:
            return {}
        entries = await asyncio.to_thread(entries_of, content)
        there = [name for name in names if name in entries]
        if not there:
            return {}
        identities = self._identities(await self._store.find(_named(repo)))
        if not identities:
            raise SealedFileRefused(
                f"{PATH}: {', '.join(there)}: this installation has no key for this repository;"
                " `staunch secret public-key` makes one to encrypt for; `staunch secret set` keeps"
                f" a value here; `staunch run --secret {there[0]}` takes it from a variable"
            )
        return await asyncio.to_thread(
            lambda: {name: opened_value(entries, name, identities) for name in there}
        )

    def _identities(self, kept: KeptSecret | None) -> list[str]:
        return [] if kept is None else open_envelope(self._keys.read(), kept.secret).split()

    async def _write(
        self, repo: str, kept: KeptSecret | None, identities: list[str], by: str
    ) -> list[str]:
        version = 1 if kept is None else kept.secret.version + 1
        text, at = "\n".join(identities), self._now()
        secret = seal(self._keys.read(), _named(repo), text, version=version, at=at, by=by)
        try:
            await self._store.write(secret, after=0 if kept is None else kept.revision)
        except Conflict as conflict:
            raise PersonRefused(
                409, "somebody else has just changed this repository's public keys; try again"
            ) from conflict
        log.info("public_keys_changed", repo=repo, keys=len(identities), version=version, by=by)
        return identities


def _named(repo: str) -> NamedScope:
    return NamedScope(name=IDENTITY, scope=Scope(repo=repo))
