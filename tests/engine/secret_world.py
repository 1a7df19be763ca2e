"""A host that keeps secrets in memory, one Run with a Job, and the runner that holds it."""

import inspect
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ci_host.adapters.files.key_ring import KeyRingFile
from ci_host.adapters.files.signing_key_file import SigningKeyFile
from ci_host.adapters.memory.commit_files import MemoryFiles
from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.memory.secrets import MemorySecrets
from ci_host.engine.id_tokens import IdTokens
from ci_host.engine.secret_answers import told
from ci_host.engine.secrets import SUITE, Secrets
from pipelines.commands import Command, Open, OpenJob, StepKind
from pipelines.event import Event, EventKind, PullRequest
from pipelines.events import RunStarted
from pipelines.ids import RunId, StepKey, job_id
from pipelines.job import JobRequest, Lease, ShellStep, Source
from pipelines.repo import Repo
from pipelines.run import RunState
from pipelines.secret import SEALED_FOR, NamedScope, Scope, SecretsAsked, SecretsTold
from pipelines.turn import Turn

RUN = RunId("0-0123456789abcdef0123")
JOB = job_id(RUN, StepKey("deploy"), 1)
REPO = Repo(
    id="gh/42", connection="gh", external_id="42", name="acme/app", clone_url="https://x.invalid/a"
)
FORK = PullRequest(number=1, action="opened", base_ref="main", head_ref="x", is_fork=True)
PUSH = Event(kind=EventKind.PUSH, ref="refs/heads/main", commit="1" * 40)
VALUE = "the-value-of-it"
ISSUER = "https://ci.invalid"


class Killed(BaseException):
    """The host's life ends here."""


@dataclass
class Life:
    """Ends before or after operation number `ends_at`, whichever port it is of."""

    ends_at: int
    after: bool
    count: int = 0


class Mortal:
    """A port of a host that dies."""

    def __init__(self, target: object, life: Life) -> None:
        self._target, self._life = target, life

    def __getattr__(self, name: str) -> Any:
        real, life = getattr(self._target, name), self._life

        def counted(*arguments: object, **named: object) -> Any:
            life.count += 1
            if life.count == life.ends_at and not life.after:
                raise Killed
            if not inspect.iscoroutinefunction(real):
                return self._dead(real(*arguments, **named), life.count)
            return self._later(real(*arguments, **named), life.count)

        return counted

    async def _later(self, answer: Awaitable[object], count: int) -> object:
        return self._dead(await answer, count)

    def _dead(self, answer: object, count: int) -> object:
        if count == self._life.ends_at and self._life.after:
            raise Killed
        return answer


class Catalog:
    """One repository."""

    async def connection(self, connection: str) -> None:
        raise AssertionError(connection)

    async def repo(self, repo: str) -> Repo | None:
        return REPO if repo == REPO.id else None


class World:
    """A host with one Run, of which one Job is open, and the runner that holds it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = time.time()
        self.store = MemorySecrets()
        self.history = MemoryHistory()
        self.files = MemoryFiles()
        self.at_commit = self.files.files.setdefault(PUSH.commit, {})
        self.runner = Ed25519PrivateKey.generate()
        self.fresh = X25519PrivateKey.generate()
        verifier = self.runner.public_key().public_bytes_raw()
        self.lease = Lease(job=JOB, key="deploy", runner="r1", started_at=1.0, verifier=verifier)
        self.store.leases[JOB] = self.lease

    def secrets(self, life: "Life | None" = None) -> Secrets:
        keys: Any = KeyRingFile(self.folder, {})
        store: Any = self.store
        if life is not None:
            keys, store = Mortal(keys, life), Mortal(store, life)
        signing = SigningKeyFile(self.folder, time.time)
        tokens = IdTokens(signing, issuer=ISSUER, now=lambda: self.now, new_id=lambda: "1")
        catalog = Catalog()
        return Secrets(store, keys, self.history, catalog, tokens, self.files, now=time.time)

    async def set(self, value: str = VALUE, name: str = "KEY", **scope: str) -> None:
        named = NamedScope(name=name, scope=Scope(**(scope or {"repo": REPO.id})))
        await self.secrets().put(named, value, "ada")

    async def begin(
        self, event: Event = PUSH, *, state: str = "open", asked_at: int = 1, **asked: object
    ) -> None:
        """The Run, with the Job open, cancelling or gone; asked for in this Turn of two."""
        started = RunStarted(
            run=RUN,
            repo=REPO.id,
            repo_name=REPO.name,
            connection="gh",
            pipeline="pipeline",
            file=".staunch/pipeline.py",
            bundle="0" * 64,
            source=Source(mirror="/m", commit="1" * 40),
            event=event,
        )
        await self.history.create(RUN, started)
        wish = JobRequest(steps=[ShellStep(run="true")], **({"secrets": {"K": "KEY"}} | asked))
        command = Command(kind=StepKind.JOB, key="deploy", fingerprint="f", request=wish)
        is_open = {"open": [False], "cancelling": [True], "gone": []}[state]
        after = 0
        for number in (1, 2):
            turn = Turn(
                number=number,
                consumed=[],
                through=1,
                by="e",
                now=1.0,
                digest="d",
                state=RunState.RUNNING,
                commands=[command] if number == asked_at else [],
                open=Open(
                    jobs=[OpenJob(key="deploy", attempt=1, cancelling=one) for one in is_open]
                ),
            )
            after = await self.history.append_turn(RUN, turn, after=after)

    def asked(self, **changes: object) -> SecretsAsked:
        public = self.fresh.public_key().public_bytes_raw()
        signature = self.runner.sign(SecretsAsked.signed(JOB, "r1", public))
        asked = SecretsAsked(job=JOB, runner="r1", public_key=public, signature=signature)
        return msgspec.structs.replace(asked, **changes)

    async def ask(self, **changes: object) -> SecretsTold:
        return await told(self.secrets(), self.asked(**changes))

    def opened(self, answer: SecretsTold) -> dict[str, str]:
        assert answer.sealed, answer
        content = SUITE.decrypt(answer.sealed, self.fresh, SEALED_FOR + JOB.encode())
        return msgspec.json.decode(content, type=dict[str, str])
