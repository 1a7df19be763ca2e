"""Releases run at what their tag leads to, and groups of a merge queue at their own commit."""

import pytest

from pipelines.event import EventKind
from pipelines.trust import Tier
from tests.engine.delivery_world import DeliveryWorld

pytestmark = pytest.mark.anyio

PIPELINE = {
    ".staunch.py": "from staunch import on\n"
    "on.release(tags=['v*']); on.merge_group(branches=['main'])\n"
    "async def run(event, step): ...\n"
}
RELEASES = {
    "31": "gitea/release_published",
    "4711": "github/release_published",
    "62": "gitlab/release_created",
}


@pytest.fixture(params=sorted(RELEASES))
def world(request, tmp_path) -> DeliveryWorld:
    return DeliveryWorld(tmp_path, request.param)


@pytest.fixture
def github(tmp_path) -> DeliveryWorld:
    return DeliveryWorld(tmp_path, "4711")


@pytest.mark.parametrize("options", [(), ("-a", "-m", "one")])
async def test_a_release_runs_at_the_commit_of_its_tag_annotated_or_not(world, options):
    commit = world.checkout.commit(PIPELINE)
    world.checkout.push()
    world.checkout.git("tag", *options, "v1.2.0")
    world.checkout.git("push", "-q", "origin", "v1.2.0")
    outcome = await world.take(RELEASES[world.kept.known.external_id])
    started = await world.started(outcome)
    event = started.event
    assert (event.kind, event.commit, event.tag) == (EventKind.RELEASE, commit, "v1.2.0")
    assert event.release.name == "Wider gates"
    # Told under another id, it is the same release.
    again = await world.take(RELEASES[world.kept.known.external_id], delivery="d-2")
    assert again.runs == outcome.runs


async def test_a_release_whose_tag_is_not_there_says_so(world):
    world.checkout.commit(PIPELINE)
    world.checkout.push()
    outcome = await world.take(RELEASES[world.kept.known.external_id])
    assert (outcome.state, outcome.runs) == ("ignored", [])
    assert "waterways/lock has no refs/tags/v1.2.0" in outcome.reason


async def test_a_release_under_another_tag_is_not_wanted(github):
    github.checkout.commit(PIPELINE)
    github.checkout.push()
    github.checkout.git("tag", "w1")
    github.checkout.git("push", "-q", "origin", "w1")
    outcome = await github.take(
        "github/release_published", lambda payload: payload["release"].update(tag_name="w1")
    )
    assert "no pipeline runs on release of refs/tags/w1" in outcome.reason


async def test_a_group_of_the_merge_queue_runs_at_its_commit_for_the_branch_it_goes_into(github):
    commit = github.checkout.commit(PIPELINE)
    ref = f"refs/heads/gh-readonly-queue/main/pr-12-{commit}"
    github.checkout.git("push", "-q", "origin", f"HEAD:{ref}")

    def group(base):
        return lambda payload: payload["merge_group"].update(
            head_sha=commit, head_ref=ref, base_ref=f"refs/heads/{base}"
        )

    started = await github.started(
        await github.take("github/merge_group_checks_requested", group("main"))
    )
    assert (started.event.commit, started.event.ref) == (commit, ref)
    assert started.event.merge_group.base_ref == "main"
    assert started.tier is Tier.TRUSTED
    other = await github.take("github/merge_group_checks_requested", group("old"), "d-2")
    assert "no pipeline runs on merge_group" in other.reason
    over = await github.take("github/merge_group_destroyed", delivery="d-3")
    assert (over.state, over.reason) == ("ignored", "a merge group that is over asks for nothing")
