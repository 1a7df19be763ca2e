"""DeliveryWorld: from a webhook's payload to the Run, over a real repository and memory ports."""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from ci_host.adapters.git.mirror import Mirrors
from ci_host.adapters.git.origin import Registered
from ci_host.adapters.git.source import GitSource
from ci_host.adapters.memory.comments import MemoryComments
from ci_host.adapters.memory.names import MemoryDeeds, MemoryNames, MemoryOwnerSettings
from ci_host.adapters.memory.sights import MemoryHearsay
from ci_host.adapters.memory.trust import MemoryPulls, MemoryTrust
from ci_host.engine.admissions import Admissions
from ci_host.engine.comment_commands import CommentCommands
from ci_host.engine.forge_gates import ForgeGates
from ci_host.engine.forge_reruns import ForgeReruns
from ci_host.engine.live import Prepareds
from ci_host.engine.notices import Notices
from ci_host.engine.people import People
from ci_host.engine.pipeline_files import PipelineFiles
from ci_host.engine.pull_reports import PullReports
from ci_host.engine.renames import Renames
from ci_host.engine.schedules import Schedules
from ci_host.engine.triggers import Triggers
from ci_host.ports import Source
from pipelines.events import RunStarted
from pipelines.repo import Delivery, DeliveryOutcome, Repo
from pipelines.status import Status
from tests.payloads import PAYLOADS, event_of, kind_of
from tests.repos import Repo as Checkout
from tests.schedules.world import ScheduleWorld
from webhooks.registry import parse_delivery

PIPELINE = {
    ".staunch.py": "from staunch import on\n"
    "on.push(); on.tag(); on.pull_request()\n"
    "async def run(event, step): ...\n"
}


@dataclass
class Kept:
    """The catalog of one repository, the outbox and what became of deliveries."""

    known: Repo
    statuses: list[Status] = field(default_factory=list)
    outcomes: list[DeliveryOutcome] = field(default_factory=list)

    async def connection(self, connection: str) -> None:
        return None

    async def repo(self, repo: str) -> Repo | None:
        return self.known if repo == self.known.id else None

    async def put_repo(self, repo: Repo) -> None:
        self.known = repo

    async def put(self, status: Status) -> None:
        self.statuses.append(status)

    async def tell(self, outcome: DeliveryOutcome) -> None:
        self.outcomes.append(outcome)


class NoSuites:
    """See CheckSuites: this forge has none."""

    async def runs(self, repo: Repo, suite: str) -> list[str]:
        return []


class DeliveryWorld:
    """A real repository and its mirror, or another Source; the engine's code over memory ports."""

    def __init__(
        self,
        folder: Path,
        external_id: str,
        source: Source | None = None,
        *,
        has_checks: bool = False,
    ) -> None:
        self.checkout = Checkout(folder)
        bare = self.checkout.bare
        repo = Repo(
            id=f"bb/{external_id}",
            connection="bb",
            external_id=external_id,
            name="waterways/lock",
            clone_url=str(bare),
        )
        ports = ScheduleWorld(folder)
        self.history, self.kept = ports.history, Kept(repo)
        self.comments, self.hearsay = MemoryComments(), MemoryHearsay()
        # Of what nothing is told here, git says whether it is the repository's own.
        self.trust, self.pulls = MemoryTrust(), MemoryPulls()
        # There is no API to ask, unless a test says what it would say.
        self.forge_names, self.owners, self.deeds = (
            MemoryNames(),
            MemoryOwnerSettings(),
            MemoryDeeds(),
        )
        self.renames = Renames(
            self.forge_names,
            self.kept,
            self.owners,
            self.deeds,
            now=lambda: ports.now,
            elapsed=lambda: ports.now,
        )
        registered = Registered(paths=frozenset({bare}))
        self.source = source or GitSource(Mirrors(folder / "mirrors", lambda: registered))
        files = PipelineFiles(
            self.source,
            ports.bundles,
            Prepareds(ports.bundles, ports.threads),
            ports.sandbox,
            lambda: ports.now,
        )
        schedules = Schedules(
            ports.timetables, self.kept, self.source, files, ports.history, shards=4
        )
        admissions = Admissions(self.trust, self.pulls, self.source, now=lambda: ports.now)
        reruns = ForgeReruns(ports.history, NoSuites(), 4)
        people = People(ports.history, now=lambda: ports.now, new_id=lambda: uuid4().hex)
        self.triggers = Triggers(
            self.renames,
            self.source,
            files,
            schedules,
            admissions,
            ports.history,
            Notices(
                self.kept,
                now=lambda: ports.now,
                base_url="https://ci.example",
                has_checks=lambda _: has_checks,
                pulls=PullReports(self.comments, ports.history, lambda *_: True),
            ),
            self.kept,
            reruns,
            self.hearsay,
            CommentCommands(
                admissions,
                self.source,
                files,
                ports.history,
                people,
                reruns,
                self.comments,
                shards=4,
                base_url="https://ci.example",
            ),
            ForgeGates(admissions, ports.history, people),
            parse=parse_delivery,
            now=lambda: ports.now,
            shards=4,
        )

    async def take(
        self, name: str, change: Callable[[Any], None] = lambda payload: None, delivery: str = "d-1"
    ) -> DeliveryOutcome:
        """A delivery of that payload, changed."""
        payload = copy.deepcopy(PAYLOADS[name])
        change(payload)
        return await self.triggers.take(
            Delivery(
                connection="bb",
                id=delivery,
                kind=kind_of(name),
                event=event_of(name),
                received_at=0.0,
                body=json.dumps(payload),
            )
        )

    async def started(self, outcome: DeliveryOutcome) -> RunStarted:
        (run,) = outcome.runs
        started = await self.history.started(run)
        assert started is not None
        return started
