"""Deliveries whose payloads name no full commit id: from Bitbucket's own form to the Run."""

import copy
import json
from dataclasses import dataclass, field

import pytest

from ci_host.adapters.git.mirror import Mirrors
from ci_host.adapters.git.origin import Registered
from ci_host.adapters.git.source import GitSource
from ci_host.adapters.memory.sights import MemoryHearsay
from ci_host.adapters.memory.trust import MemoryPulls, MemoryTrust
from ci_host.engine.admissions import Admissions
from ci_host.engine.forge_reruns import ForgeReruns
from ci_host.engine.live import Prepareds
from ci_host.engine.notices import Notices
from ci_host.engine.pipeline_files import PipelineFiles
from ci_host.engine.schedules import Schedules
from ci_host.engine.triggers import Triggers
from ci_host.ports import Source, SourceUnavailable
from pipelines.events import RunStarted
from pipelines.repo import Delivery, DeliveryOutcome, Repo
from pipelines.status import Status
from pipelines.trust import Admission, Tier, TrustPolicy
from tests.payloads import PAYLOADS, event_of, kind_of
from tests.repos import Repo as Checkout
from tests.schedules.world import MemorySource, ScheduleWorld
from webhooks.registry import parse_delivery

pytestmark = pytest.mark.anyio

UUID = "8d3e1c7a-0b52-4f6e-9a41-5c2d7e90f1b3"
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

    async def put(self, status: Status) -> None:
        self.statuses.append(status)

    async def tell(self, outcome: DeliveryOutcome) -> None:
        self.outcomes.append(outcome)


class NoSuites:
    """See CheckSuites: this forge has none."""

    async def runs(self, repo: Repo, suite: str) -> list[str]:
        return []


class World:
    """A real repository and its mirror, or another Source; the engine's code over memory ports."""

    def __init__(self, folder, external_id: str, source: Source | None = None) -> None:
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
        # No API of this forge is asked: git says what is the repository's own.
        self.trust = MemoryTrust()
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
        self.triggers = Triggers(
            self.kept,
            self.source,
            files,
            schedules,
            Admissions(self.trust, MemoryPulls(), self.source, now=lambda: ports.now),
            ports.history,
            Notices(self.kept, now=lambda: ports.now, base_url="https://ci.example"),
            self.kept,
            ForgeReruns(ports.history, NoSuites(), 4),
            MemoryHearsay(),
            parse=parse_delivery,
            now=lambda: ports.now,
            shards=4,
        )

    async def take(self, name: str, change) -> DeliveryOutcome:
        """A delivery of that payload, changed."""
        payload = copy.deepcopy(PAYLOADS[name])
        change(payload)
        return await self.triggers.take(
            Delivery(
                connection="bb",
                id="d-1",
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


@pytest.fixture
def cloud(tmp_path) -> World:
    return World(tmp_path, UUID)


@pytest.fixture
def data_center(tmp_path) -> World:
    return World(tmp_path, "62")


def cut(commit: str):
    """Cloud's pull request with this commit, as it cuts it."""

    def change(payload):
        payload["pullrequest"]["source"]["commit"]["hash"] = commit[:12]

    return change


def latest(commit: str):
    """Data Center's pull request with this commit."""

    def change(payload):
        payload["pullRequest"]["fromRef"]["latestCommit"] = commit

    return change


def pushed(to: str):
    """Data Center's push of the tag alone, to this object."""

    def change(payload):
        (tag,) = (one for one in payload["changes"] if one["refId"] == "refs/tags/v1.2.0")
        payload["changes"] = [{**tag, "toHash": to}]

    return change


async def test_a_pull_request_of_twelve_digits_runs_at_the_full_commit_and_only_once(cloud):
    commit = cloud.checkout.commit(PIPELINE)
    cloud.checkout.push("wider")
    first = await cloud.take("bitbucket/pullrequest_created", cut(commit))
    started = await cloud.started(first)
    assert started.source.commit == started.event.commit == commit
    assert started.event.pull_request.head_ref == "wider"
    assert (started.event.delivery, started.event.ref) == ("d-1", "refs/pull-requests/7/from")
    # An update of the title alone has the same commit.
    again = await cloud.take("bitbucket/pullrequest_updated", cut(commit))
    assert again.runs == first.runs


async def test_one_whose_commit_is_nowhere_any_more_is_ignored_with_the_reason(cloud):
    cloud.checkout.commit(PIPELINE)
    cloud.checkout.push("wider")
    outcome = await cloud.take("bitbucket/pullrequest_created", cut("b" * 12))
    assert (outcome.state, outcome.runs) == ("ignored", [])
    assert "force-pushed away" in outcome.reason and "bbbbbbbbbbbb" in outcome.reason
    assert cloud.kept.statuses == []


async def test_while_the_repository_cannot_be_read_the_delivery_is_owed(tmp_path):
    cloud = World(tmp_path, UUID, MemorySource(is_away=True))
    with pytest.raises(SourceUnavailable):
        await cloud.take("bitbucket/pullrequest_created", cut("b" * 12))
    assert cloud.kept.outcomes == []


async def test_a_fork_that_cannot_be_fetched_is_ignored_and_says_what_to_do(cloud):
    outcome = await cloud.take("bitbucket/pullrequest_created_fork", lambda payload: None)
    assert outcome.state == "ignored"
    assert "stranger/lock" in outcome.reason and "Push its branch" in outcome.reason


async def test_an_annotated_tag_of_data_center_runs_at_its_commit(data_center):
    commit = data_center.checkout.commit(PIPELINE)
    data_center.checkout.push()
    data_center.checkout.git("tag", "-a", "-m", "one", "v1.2.0")
    data_center.checkout.git("push", "-q", "origin", "v1.2.0")
    tag = data_center.checkout.git("rev-parse", "v1.2.0")
    started = await data_center.started(
        await data_center.take("bitbucket_dc/push_many", pushed(tag))
    )
    assert tag != commit
    assert started.event.commit == started.source.commit == commit
    assert started.event.tag == "v1.2.0"


async def test_a_pull_request_of_data_center_needs_no_ref_of_its_own(data_center):
    commit = data_center.checkout.commit(PIPELINE)
    data_center.checkout.push("wider")
    outcome = await data_center.take("bitbucket_dc/pr_opened", latest(commit))
    started = await data_center.started(outcome)
    assert started.event.commit == commit
    assert started.tier is Tier.TRUSTED


async def test_a_fork_of_data_center_is_fetched_by_the_pull_requests_ref_and_untrusted(data_center):
    data_center.checkout.commit({"a": "1"})
    data_center.checkout.push()
    commit = data_center.checkout.commit(PIPELINE)
    data_center.checkout.git("push", "-q", "origin", "HEAD:refs/pull-requests/7/from")
    held = await data_center.take("bitbucket_dc/pr_from_ref_updated_fork", latest(commit))
    assert (held.state, held.runs) == ("held", [])
    await data_center.trust.put_policy(TrustPolicy(newcomers=Admission.OWN))
    outcome = await data_center.take("bitbucket_dc/pr_from_ref_updated_fork", latest(commit))
    started = await data_center.started(outcome)
    assert (started.event.commit, started.event.pull_request.head_repo) == (commit, "81")
    assert started.tier is Tier.UNTRUSTED


async def test_a_fork_whose_ref_is_not_there_yet_is_ignored_and_its_commit_not_called_bad(
    data_center,
):
    data_center.checkout.commit(PIPELINE)
    data_center.checkout.push()
    outcome = await data_center.take("bitbucket_dc/pr_opened_deleted_fork", latest("b" * 40))
    assert outcome.state == "ignored" and "refs/pull-requests/7/from" in outcome.reason
    assert data_center.kept.statuses == []
