"""Secrets: what people do with them, and which values a Runner is told.

A value goes in by `put`, comes out sealed to the Runner that holds the Attempt, and is shown to
nobody. Who asks proves to be the holder by the key in the Attempt's Lease; what the Job asked for,
of which Repo and event it is, is read from its Run's History and from nowhere else.
"""

import asyncio
import shlex
from collections.abc import Callable

import msgspec
import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from ci_host.engine.id_tokens import VARIABLE, IdTokens
from ci_host.engine.open_jobs import open_request
from ci_host.engine.people import PersonRefused
from ci_host.engine.sealed_secrets import SealedSecrets
from ci_host.envelopes import StoredSecret, open_envelope, seal
from ci_host.ports import Catalog, Conflict, HistoryStore
from ci_host.sealed_file import PATH, SealedFileRefused
from ci_host.secret_ports import CommitFiles, FileRefused, KeptSecret, KeyKeeper, SecretStore
from pipelines.events import RunStarted
from pipelines.ids import JobId, RunId, is_run_id
from pipelines.job import JobRequest
from pipelines.secret import (
    JOB_SECRETS_BYTES_MAX,
    NAME,
    SEALED_FOR,
    NamedScope,
    Scope,
    SecretsAsked,
    best,
    unkeepable,
)
from pipelines.trust import Tier

SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)

log = structlog.get_logger()


class AskRefused(Exception):
    """A Runner gets no values; the message says why and what to do."""


class Secrets:
    """Over the store of envelopes and the ring of their keys."""

    def __init__(
        self,
        store: SecretStore,
        keys: KeyKeeper,
        history: HistoryStore,
        catalog: Catalog,
        tokens: IdTokens,
        files: CommitFiles,
        *,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._keys = keys
        self._history = history
        self._catalog = catalog
        self._tokens = tokens
        self._now = now
        # A key is forgotten when no envelope is under it: none may come to be meanwhile.
        self._changing = asyncio.Lock()
        self.sealed = SealedSecrets(store, keys, files, self._changing, now=now)

    # -- people

    async def put(
        self, named: NamedScope, value: str, by: str, *, is_new_allowed: bool = True
    ) -> StoredSecret:
        """Keep a value, as the next version where there is one. Raises PersonRefused."""
        _check(named, value)
        async with self._changing:
            kept = await self._store.find(named)
            if kept is None and not is_new_allowed:
                raise PersonRefused(404, f"{_absent(named)}; `staunch secret set` makes it")
            version = 1 if kept is None else kept.secret.version + 1
            ring = self._keys.read()
            secret = seal(ring, named, value, version=version, at=self._now(), by=by)
            try:
                await self._store.write(secret, after=0 if kept is None else kept.revision)
            except Conflict as conflict:
                raise PersonRefused(
                    409, f"somebody else has just set {named.name}; look at `staunch secret list`"
                ) from conflict
        log.info("secret_set", secret=named.name, scope=named.scope.words(), version=version, by=by)
        return secret

    async def remove(self, named: NamedScope, by: str) -> None:
        """No Job gets it from now on. Raises PersonRefused."""
        if not NAME.match(named.name) or await self._store.find(named) is None:
            raise PersonRefused(404, f"{_absent(named)}; `staunch secret list` has all there are")
        await self._store.remove(named)
        log.info("secret_removed", secret=named.name, scope=named.scope.words(), by=by)

    async def all(self) -> list[StoredSecret]:
        """Every Secret, in the order of names, without its value."""
        found = (one.secret for one in await self._store.all() if NAME.match(one.secret.name))
        return sorted(found, key=lambda secret: (secret.name, secret.at))

    async def rotate_key(self) -> int:
        """Keep every Secret under a new key, then forget the old ones; answers how many there are.

        If it dies on the way both keys are there, and a repetition goes on.
        """
        async with self._changing:
            ring = self._keys.add()
            kept = await self._store.all()
            for one in kept:
                await self._renew(one)
            left = await self._store.all()
            self._keys.keep_only({one.secret.key for one in left})
        count = sum(1 for one in kept if NAME.match(one.secret.name))
        log.info("secrets_key_rotated", secrets=count, key=ring.current.id)
        return count

    async def _renew(self, kept: KeptSecret) -> None:
        ring, old = self._keys.read(), kept.secret
        if old.key == ring.current.id:
            return
        value = open_envelope(ring, old)
        new = seal(ring, old.named, value, version=old.version, at=old.at, by=old.by)
        await self._store.write(new, after=kept.revision)

    # -- runners

    async def answer(self, asked: SecretsAsked) -> bytes:
        """The values that the Attempt asked for, by variable, sealed to its Runner.

        Raises AskRefused, Unopenable, Unavailable, Damaged.
        """
        await self._check_holder(asked)
        run = RunId(asked.job.partition(".")[0])
        started = await self._history.started(run) if is_run_id(run) else None
        request = None if started is None else await open_request(self._history, run, asked.job)
        if started is None or request is None:
            raise AskRefused(f"job {asked.job} is not wanted by any run (any more)")
        values = await self._values(started, request)
        if request.id_token:
            values[VARIABLE] = self._tokens.make(started, request, asked.job)
        log.info("secrets_told", job=asked.job, runner=asked.runner, secrets=sorted(values))
        key = X25519PublicKey.from_public_bytes(asked.public_key)
        return SUITE.encrypt(msgspec.json.encode(values), key, SEALED_FOR + asked.job.encode())

    async def _check_holder(self, asked: SecretsAsked) -> None:
        lease = await self._store.holder(JobId(asked.job))
        if lease is None or lease.runner != asked.runner:
            raise AskRefused(f"runner {asked.runner} does not hold job {asked.job}")
        try:
            signed = SecretsAsked.signed(asked.job, asked.runner, asked.public_key)
            Ed25519PublicKey.from_public_bytes(lease.verifier).verify(asked.signature, signed)
        except (InvalidSignature, ValueError) as error:
            raise AskRefused(
                f"who asks for the secrets of job {asked.job} is not the runner that holds it"
            ) from error

    async def _values(self, started: RunStarted, request: JobRequest) -> dict[str, str]:
        if started.tier is not Tier.TRUSTED:
            names = ", ".join(sorted(set(request.secrets.values()))) or "an identity token"
            raise AskRefused(
                f"no secret ({names}) is given to a job of a fork's changes: whoever can push"
                " there could read it; have the changes pushed to the repository itself"
            )
        place = await self._place(started, request)
        kept = {secret.named: secret for secret in await self.all()}
        chosen = {name: best(kept, name, place) for name in set(request.secrets.values())}
        # A secret that is kept for the repository goes before its file, one of the owner after it.
        open_to_file = [name for name, named in chosen.items() if not (named and named.scope.repo)]
        found = await self._sealed(started, sorted(open_to_file))
        ring = self._keys.read()
        for name, named in chosen.items():
            if name not in found and named is None:
                raise AskRefused(_nowhere(name, place, started.repo_name))
            if name not in found and named is not None:
                found[name] = open_envelope(ring, kept[named])
        values = {variable: found[name] for variable, name in request.secrets.items()}
        if (size := sum(map(len, values.values()))) > JOB_SECRETS_BYTES_MAX:
            raise AskRefused(
                f"the secrets of the job have {size:,} bytes; {JOB_SECRETS_BYTES_MAX:,} are allowed"
            )
        return values

    async def _sealed(self, started: RunStarted, names: list[str]) -> dict[str, str]:
        """Those that the repository's own file has. Raises AskRefused."""
        if not names:
            return {}
        try:
            return await self.sealed.find(started.repo, started.source, names)
        except (SealedFileRefused, FileRefused) as refused:
            raise AskRefused(str(refused)) from refused

    async def _place(self, started: RunStarted, request: JobRequest) -> Scope:
        repo = await self._catalog.repo(started.repo)
        if repo is None:
            raise AskRefused(f"repository {started.repo_name} is not registered here any more")
        return Scope(
            org=f"{repo.connection}/{repo.name.rpartition('/')[0]}",
            repo=repo.id,
            environment=request.environment,
            # Which of the pools with its labels that is, is nothing that it asked for.
            pool="" if request.labels else request.pool,
            event=started.event.kind,
        )


def _check(named: NamedScope, value: str) -> None:
    """Raises PersonRefused, without the value in its message."""
    if not NAME.match(named.name):
        raise PersonRefused(
            422, f"{named.name!r} is no name of a secret: letters, digits and _, as in DEPLOY_KEY"
        )
    if not (named.scope.org or named.scope.repo):
        raise PersonRefused(422, "say for whom the secret is: --repo NAME, or --org OWNER")
    if why := unkeepable(value):
        raise PersonRefused(422, why)


def _absent(named: NamedScope) -> str:
    return f"there is no secret {named.name} for {named.scope.words()}"


def _nowhere(name: str, place: Scope, repo: str) -> str:
    looked = f"{place.words()}, {PATH}".replace(place.repo, repo)
    return (
        f"secret {name} is not set for this job (looked in: {looked}); an administrator sets it"
        f" with `staunch secret set {shlex.quote(name)} --repo {shlex.quote(repo)}`"
    )
