"""Deliveries whose payloads name no full commit id: from Bitbucket's own form to the Run."""

import shutil

import msgspec
import pytest

from ci_host.adapters.git.mirror import Mirrors
from ci_host.adapters.git.origin import Place, Registered
from ci_host.adapters.git.source import GitSource
from ci_host.ports import SourceUnavailable
from pipelines.trust import Admission, Tier, TrustPolicy
from tests.engine.delivery_world import PIPELINE, DeliveryWorld
from tests.repos import Repo as Checkout
from tests.schedules.world import MemorySource

pytestmark = pytest.mark.anyio

UUID = "8d3e1c7a-0b52-4f6e-9a41-5c2d7e90f1b3"


@pytest.fixture
def cloud(tmp_path) -> DeliveryWorld:
    return DeliveryWorld(tmp_path, UUID)


@pytest.fixture
def data_center(tmp_path) -> DeliveryWorld:
    return DeliveryWorld(tmp_path, "62")


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
    cloud = DeliveryWorld(tmp_path, UUID, MemorySource(is_away=True))
    with pytest.raises(SourceUnavailable):
        await cloud.take("bitbucket/pullrequest_created", cut("b" * 12))
    assert cloud.kept.outcomes == []


def with_fork(folder):
    """Bitbucket Cloud's world, and a fork that is where the forge says; which refs were asked for
    is kept."""
    (folder / "fork").mkdir()
    (folder / "world").mkdir()
    fork, asked = Checkout(folder / "fork"), []

    def place_of(repo, ref):
        asked.append(ref)
        there = msgspec.structs.replace(repo, name="stranger/lock", clone_url=str(fork.bare))
        return Place(there, "refs/heads/wider") if ref == "refs/pull-requests/7/from" else None

    paths = frozenset({folder})
    mirrors = Mirrors(folder / "mirrors", lambda: Registered(paths=paths))
    return DeliveryWorld(folder / "world", UUID, GitSource(mirrors, place_of)), fork, asked


async def test_a_fork_of_cloud_is_fetched_from_where_the_forge_says_and_untrusted(tmp_path):
    cloud, fork, asked = with_fork(tmp_path)
    commit = fork.commit(PIPELINE)
    fork.push("wider")
    cloud.checkout.commit({"a": "1"})
    cloud.checkout.push()
    held = await cloud.take("bitbucket/pullrequest_created_fork", cut(commit))
    assert (held.state, held.runs) == ("held", [])
    await cloud.trust.put_policy(TrustPolicy(newcomers=Admission.OWN))
    outcome = await cloud.take("bitbucket/pullrequest_created_fork", cut(commit))
    started = await cloud.started(outcome)
    assert started.event.commit == started.source.commit == commit
    assert started.tier is Tier.UNTRUSTED
    assert set(asked) == {"refs/pull-requests/7/from"}


async def test_a_fork_of_cloud_runs_the_plan_of_the_branch_that_it_is_for(tmp_path):
    cloud, fork, _ = with_fork(tmp_path)
    commit = fork.commit({"change": "1"})
    fork.push("wider")
    base = cloud.checkout.commit(PIPELINE)
    cloud.checkout.push()
    await cloud.trust.put_policy(TrustPolicy(newcomers=Admission.BASE))
    outcome = await cloud.take("bitbucket/pullrequest_created_fork", cut(commit))
    started = await cloud.started(outcome)
    assert started.event.commit == started.source.commit == commit != base
    assert started.tier is Tier.UNTRUSTED


async def test_a_fork_that_is_not_shown_to_us_is_ignored_with_its_name_and_never_called_bad(
    tmp_path,
):
    cloud, fork, _ = with_fork(tmp_path)
    shutil.rmtree(fork.bare)
    outcome = await cloud.take("bitbucket/pullrequest_created_fork", cut("b" * 40))
    assert outcome.state == "ignored" and "stranger/lock" in outcome.reason
    assert cloud.kept.statuses == []


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
