"""How pull requests go on: what is run again, and what changes nothing that is built."""

import pytest

from pipelines.ids import RunId
from tests.engine.delivery_world import PIPELINE, DeliveryWorld

pytestmark = pytest.mark.anyio

BODIES = {
    "31": ("gitea/pull_request_opened_as_draft", "gitea/pull_request_edited_to_ready"),
    "4711": ("github/pull_request_opened", "github/pull_request_ready_for_review"),
    "62": ("gitlab/merge_request_opened", "gitlab/merge_request_ready"),
}


@pytest.fixture(params=sorted(BODIES))
def world(request, tmp_path) -> DeliveryWorld:
    """A repository with a pull request from its own branch; its id is that of the payloads."""
    world = DeliveryWorld(tmp_path, request.param)
    world.checkout.commit(PIPELINE)
    world.checkout.push("wider")
    return world


async def told(world: DeliveryWorld, ends_draft: bool, delivery: str) -> list[str]:
    commit = world.checkout.git("rev-parse", "HEAD")

    def change(payload):
        if "pull_request" in payload:
            payload["pull_request"]["head"].update(sha=commit, ref="wider")
        else:
            payload["object_attributes"]["last_commit"]["id"] = commit
            payload["object_attributes"]["source_branch"] = "wider"

    name = BODIES[world.kept.known.external_id][ends_draft]
    return (await world.take(name, change, delivery)).runs


async def test_a_commit_whose_pull_request_is_a_draft_no_more_runs_once_more(world):
    (first,) = await told(world, False, "d-1")
    (second,) = await told(world, True, "d-2")
    assert first != second
    started = await world.history.started(RunId(second))
    assert (started.event.pull_request.action, started.event.pull_request.is_draft) == (
        "ready_for_review",
        False,
    )
    # Back and forth, or told twice, it has these two.
    assert await told(world, True, "d-2") == await told(world, True, "d-3") == [second]
    assert await told(world, False, "d-4") == [first]
