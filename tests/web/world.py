"""World: the host's application over memory: a History, a folded read model, logs. No server.

What happens to a Run is put into the History and folded, as the projector does; so the pages read
what they read in earnest.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
from fastapi import FastAPI
from sqlmodel import Session

from ci_host.access import Token, digest_of_secret
from ci_host.adapters.files.key_ring import KeyRingFile
from ci_host.adapters.memory.desk import MemoryAccounts, MemoryDeskBus, MemoryRegistrations
from ci_host.adapters.memory.line import MemoryLine
from ci_host.adapters.memory.secrets import MemorySecrets
from ci_host.adapters.memory.shells import MemoryShells
from ci_host.adapters.memory.sights import MemorySights
from ci_host.adapters.memory.statuses import MemoryUntoldStatuses
from ci_host.adapters.memory.trust import MemoryPulls, MemoryTrust
from ci_host.adapters.memory.views import MemoryViews
from ci_host.adapters.memory.world import MemoryBundles
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.audit import NatsAudit
from ci_host.adapters.nats.sessions import NatsSessions
from ci_host.adapters.sql import fold, fold_deliveries, fold_jobs
from ci_host.adapters.sql.read_model import Change, ReadModel
from ci_host.api.app import create_app
from ci_host.api.beginnings import Beginnings
from ci_host.api.device_logins import DeviceLogins
from ci_host.api.forge_levels import ForgeLevels
from ci_host.api.logins import Logins
from ci_host.api.news import News
from ci_host.api.requests_measured import RequestNumbers
from ci_host.api.services import Services
from ci_host.engine.admissions import Admissions
from ci_host.engine.dispatcher import Dispatcher
from ci_host.engine.forks import Forks
from ci_host.engine.people import People
from ci_host.engine.registrations import Registrations
from ci_host.engine.reruns import Reruns
from ci_host.engine.schedule_acts import ScheduleActs
from ci_host.engine.secrets import Secrets
from ci_host.engine.shells import Shells
from ci_host.engine.status_delivery import StatusRetelling
from ci_host.settings import Settings
from ci_host.web.site import add_pages
from pipelines.commands import Command, Open, Result, StepKind
from pipelines.event import Event, EventKind
from pipelines.events import Input, JobFinished, Rerun, RunStarted, unless_normal
from pipelines.ids import JobId, RunId, StepKey, job_id
from pipelines.job import Annotation, JobRequest, Lease, LogChunk, Outcome, Source
from pipelines.note import Note
from pipelines.priority import Priority
from pipelines.repo import Connection, Delivery, DeliveryOutcome, ForgeKind, Repo
from pipelines.run import RunState
from pipelines.turn import End, Paused, Turn
from pipelines.usage import Usage
from tests.web import stores
from tests.web.stores import NOW

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# From what woke a Run until its Turn is durable.
DECIDING_S = 0.02
SECRETS = {"ada": "stn_ada", "grace": "stn_grace"}


class World:
    """`now` is the host's clock. `ada` administers; `grace` is of team ops."""

    def __init__(self, folder: Path, *, clone_url: str = "https://forge.test/me/shop.git") -> None:
        self.history = stores.FoldedHistory(NOW, self.fold)
        self.bus = stores.MemoryBus()
        self.inbox = stores.MemoryInbox(self.bus)
        self.directory, self.catalog = stores.MemoryDirectory(), stores.MemoryCatalog()
        self.news = News(cast(Any, self.bus))
        self.model = ReadModel(f"sqlite:///{folder / 'read-model.sqlite'}")
        self._sequence = self._ids = 0
        tea = Connection(id="tea", kind=ForgeKind.GITEA, secrets=["s"])
        repo = Repo(
            id="tea/7", connection="tea", external_id="7", name="me/shop", clone_url=clone_url
        )
        self.directory.connections["tea"] = tea
        self.directory.repos[repo.id] = repo
        for name, secret in SECRETS.items():
            token = Token(
                digest=digest_of_secret(secret),
                name=name,
                teams=["ops"] if name == "grace" else [],
                admin=name == "ada",
            )
            self.directory.tokens[token.digest] = token
        self.bundles = MemoryBundles()
        self.timetables = stores.PagedTimetables(NOW)
        settings = Settings(data=folder, cache=folder)
        self.members = stores.MemoryMembers()
        self.shells, self.trust = MemoryShells(), MemoryTrust()
        self.outbox, self.untold = stores.MemoryOutbox(), MemoryUntoldStatuses()
        self.services = Services(
            settings=settings,
            bus=cast(Any, self.bus),
            history=cast(Any, self.history),
            catalog=cast(Any, self.catalog),
            inbox=cast(Any, self.inbox),
            directory=cast(Any, self.directory),
            model=self.model,
            people=People(self.history, now=self.clock, new_id=self.new_id),
            reruns=Reruns(cast(Any, self.history), settings.shards),
            forks=Forks(cast(Any, self.history), settings.shards),
            bundles=self.bundles,
            blobs=cast(Any, None),
            secrets=Secrets(
                cast(Any, MemorySecrets()),
                KeyRingFile(folder, {}),
                self.history,
                *cast(Any, (self.catalog, None, None)),
                now=self.clock,
            ),
            signing_keys=cast(Any, None),
            registrations=Registrations(
                MemoryRegistrations(),
                MemoryAccounts(),
                MemoryDeskBus(self.clock),
                now=self.clock,
                new_id=self.new_id,
            ),
            dispatcher=Dispatcher(MemoryLine(), self.history, now=self.clock),
            shells=Shells(self.shells, self.history, now=self.clock, new_id=self.new_id),
            shell_store=self.shells,
            shell_lines=cast(Any, None),
            admissions=Admissions(self.trust, MemoryPulls(), cast(Any, None), now=self.clock),
            trust=self.trust,
            audit=NatsAudit(cast(Any, self.bus)),
            sessions=NatsSessions(cast(Any, self.bus)),
            views=MemoryViews(),
            untold=self.untold,
            retelling=StatusRetelling(self.outbox, self.untold, self.clock),
            levels=ForgeLevels(self.members, now=self.clock),
            logins=Logins(self.clock),
            device_logins=DeviceLogins(self.clock),
            tries={},
            requests=RequestNumbers(),
            http=cast(Any, None),
            news=self.news,
            beginnings=Beginnings(self.model, self.history, self.bundles),
            timetables=cast(Any, self.timetables),
            sights=MemorySights(),
            schedules=ScheduleActs(self.timetables, new_id=self.new_id, shards=4),
            now=self.clock,
            new_id=self.new_id,
        )
        self.app: FastAPI = create_app(self.services)
        add_pages(self.app)

    def clock(self) -> float:
        return self.history.now

    def new_id(self) -> str:
        self._ids += 1
        return f"id{self._ids}"

    def fold(self, run: str, change: Any) -> None:
        """Fold one change into the read model, and tell who watches the Run."""
        self._sequence += 1
        self.model.apply("any", [Change(self._sequence, change)])
        self.news.tell_folded(run)

    def restarted(self, role: str, at: float) -> None:
        """A process of the host began."""
        start = fold.ProcessStart(role=role, incarnation=f"{role}-{at}", at=at)
        self.fold("", lambda session: fold.fold_process_start(session, start))

    def delivered(self, id_: str, *, reason: str = "", runs: Sequence[str] = ()) -> None:
        """A webhook came, and something became of it."""
        delivery = Delivery(
            connection="tea",
            id=id_,
            kind=ForgeKind.GITEA,
            event="push",
            received_at=self.clock(),
            body="{}",
        )
        self.inbox.kept["tea", id_] = delivery
        self.fold("", lambda session: fold_deliveries.fold_delivery(session, delivery))
        outcome = DeliveryOutcome(
            connection="tea",
            id=id_,
            state="started" if runs else "ignored",
            reason=reason,
            runs=list(runs),
        )
        self.fold("", lambda session: fold_deliveries.fold_outcome(session, outcome))

    def write_log(self, job: JobId, text: str, *, offset: int = 0) -> int:
        """Append to a log; answers the offset behind it."""
        size = len(text.encode())
        chunk = LogChunk(offset=offset, size=size, at=self.clock(), text=text)
        self.bus.put(subjects.log(job), msgspec.json.encode(chunk))
        self.news.tell(subjects.log(job))
        return offset + size


class Story:
    """One Run, told Turn by Turn by `engine`; each act happens a second after the last."""

    def __init__(self, world: World, number: int = 1) -> None:
        self.world = world
        self.run = RunId(f"1-{number:020x}")
        self.engine = "engine-1"
        self._turns = 0

    def later(self, seconds: float = 1.0) -> "Story":
        """Time goes by."""
        self.world.history.now += seconds
        return self

    async def begin(
        self,
        *,
        rerun: Rerun | None = None,
        bundle: str = "b" * 64,
        priority: Priority = Priority.NORMAL,
        **event: Any,
    ) -> "Story":
        """A push, or what `event` says."""
        facts = {
            "kind": EventKind.PUSH,
            "ref": "refs/heads/main",
            "commit": COMMIT,
            "sender": "ada",
            "message": "A shop with a cart\n\nAnd more.",
        }
        started = RunStarted(
            run=self.run,
            repo="tea/7",
            repo_name="me/shop",
            connection="tea",
            pipeline="pipeline",
            file=".staunch/pipeline.py",
            bundle=bundle,
            source=Source(mirror="/srv/mirror", commit=COMMIT),
            event=Event(**{**facts, **event}),
            rerun=rerun,
            priority=unless_normal(priority),
        )
        await self.happens(started)
        return self

    async def happens(self, value: Input) -> None:
        sequence = await self.world.history.append_input(self.run, value)
        at = self.world.clock()

        def change(session: Session) -> None:
            fold.fold_input(session, self.run, sequence, at, value)

        self.world.fold(self.run, change)

    async def turn(
        self,
        *commands: Command,
        results: Sequence[Result] = (),
        wanted: Open | None = None,
        end: End | None = None,
        wake_at: float | None = None,
        paused: Paused | None = None,
        note: Note | None = None,
        usage: Usage | None = None,
    ) -> "Story":
        """The Run decides."""
        self._turns += 1
        inputs = await self.world.history.inputs_after(self.run, 0)
        last = await self.world.history.last_turn(self.run)
        through = last.turn.through if last else 0
        turn = Turn(
            number=self._turns,
            consumed=[one.sequence for one in inputs if one.sequence > through],
            through=inputs[-1].sequence,
            by=self.engine,
            now=self.world.clock(),
            digest=f"d{self._turns}",
            state=end.state if end else RunState.PAUSED if paused else RunState.RUNNING,
            commands=list(commands),
            results=list(results),
            open=wanted or Open(),
            end=end,
            wake_at=wake_at,
            paused=paused,
            note=note,
            usage=usage,
        )
        after = last.sequence if last else 0
        sequence = await self.world.history.append_turn(self.run, turn, after=after)
        stored_at = self.world.clock() + DECIDING_S
        self.world.fold(
            self.run,
            lambda session: fold.fold_turn(session, self.run, sequence, turn, stored_at),
        )
        return self

    def job_id(self, key: str, attempt: int = 1) -> JobId:
        return job_id(self.run, StepKey(key), attempt)

    def claim(self, key: str, attempt: int = 1) -> "Story":
        """A Runner takes the job."""
        lease = Lease(
            job=self.job_id(key, attempt),
            key=key,
            runner="runner-a",
            started_at=self.world.clock(),
        )
        self.world.fold(self.run, lambda session: fold_jobs.fold_lease(session, lease))
        return self

    async def finish(
        self,
        key: str,
        outcome: Outcome = Outcome.SUCCEEDED,
        *,
        attempt: int = 1,
        annotations: Sequence[Annotation] = (),
        message: str = "",
        **more: Any,
    ) -> "Story":
        """The Runner reports."""
        await self.happens(
            JobFinished(
                job=self.job_id(key, attempt),
                key=key,
                attempt=attempt,
                outcome=outcome,
                exit_code=0 if outcome is Outcome.SUCCEEDED else 1,
                message=message,
                annotations=list(annotations),
                finished_at=self.world.clock(),
                runner="runner-a",
                **more,
            )
        )
        return self


def job(key: str, attempt: int = 1, **asked: Any) -> Command:
    """The wish for a job."""
    request = JobRequest(steps=[], **asked) if asked else None
    return Command(kind=StepKind.JOB, key=key, fingerprint="f", attempt=attempt, request=request)
