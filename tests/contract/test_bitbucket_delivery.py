"""Statuses from a queue to both Bitbuckets, with their limits, their age and their refusals."""

from collections.abc import Callable

import httpx2
import pytest
from structlog.testing import capture_logs

from pipelines.repo import ForgeKind
from pipelines.status import Status, StatusState
from tests.contract.status_queue import HourQueue, connection, status, told_by
from tests.contract.strict_bitbucket import StrictBitbucket, StrictDataCenter
from webhooks.memory import MemoryConnections
from webhooks.reporter import StatusSender

pytestmark = pytest.mark.anyio

UUID = "8d3e1c7a-0b52-4f6e-9a41-5c2d7e90f1b3"
OTHER = "1c9f0e2d-77aa-4b3c-8d15-f2e64ab90c33"
STATES = [StatusState.PENDING, StatusState.FAILURE, StatusState.PENDING, StatusState.SUCCESS]


async def tell(
    kind: ForgeKind,
    forge: Callable[[httpx2.Request], httpx2.Response],
    *statuses: Status,
) -> tuple[HourQueue, list[dict[str, object]]]:
    """The queue afterwards, all of it told to that forge, and what was refused."""
    queue = HourQueue(list(statuses))
    with capture_logs() as said:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(forge)) as client:
            known = MemoryConnections(connection("https://bitbucket.example", kind=kind))
            sender = StatusSender(known, client, now=lambda: queue.now, dice=lambda: 0.0)
            await told_by(queue, sender)
    return queue, [line for line in said if line["event"] == "status_refused"]


def each(repo: str, **changes) -> list[Status]:
    """The states of one context in turn, each told twice; all of it too long for any field."""
    context = "staunch/" + "c" * 300
    facts = {"repo": repo, "context": context, "description": "d" * 999, **changes}
    return [status(4 * n, **facts, state=state) for n, state in enumerate(STATES) for _ in range(2)]


async def test_cloud_has_the_last_state_of_each_context_though_each_was_told_twice():
    forge = StrictBitbucket("Bearer t0ken", {f"{{{UUID}}}"})
    long, short = each(f"tea/{UUID}"), each(f"tea/{UUID}", context="staunch/build")
    queue, refused = await tell(ForgeKind.BITBUCKET, forge, *long, *short)
    assert queue.left == [] and refused == []
    assert [build["state"] for build in forge.builds.values()] == ["SUCCESSFUL"] * 2
    assert set(forge.codes) == {200, 201}


async def test_clouds_limits_are_waited_for_and_its_refusals_let_go():
    forge = StrictBitbucket("Bearer t0ken", {f"{{{UUID}}}"})
    forge.answers = [httpx2.Response(429, headers={"retry-after": "90"}), httpx2.Response(503)]
    at_home = status(4, repo=f"tea/{UUID}", target_url="http://localhost:8000/runs/1")
    queue, refused = await tell(
        ForgeKind.BITBUCKET,
        forge,
        status(0, repo=f"tea/{UUID}"),
        status(2, repo=f"tea/{OTHER}"),
        at_home,
        status(6, repo="tea/62"),
        status(8, repo=f"tea/{UUID}"),
    )
    assert forge.codes == [429, 503, 201, 404, 400, 200]
    assert queue.left == [] and queue.now >= 90.0
    gone, local, number = (str(line["reason"]) for line in refused)
    assert "404" in gone and "no longer exists" in gone
    assert "--base-url" in local and "http://localhost:8000/runs/1" in local
    assert "'62' is no UUID" in number


@pytest.mark.parametrize("is_older", [False, True])
async def test_data_center_of_any_age_has_the_last_state_of_each_context(is_older):
    forge = StrictDataCenter("t0ken", {"waterways/lock"}, is_older=is_older)
    queue, refused = await tell(ForgeKind.BITBUCKET_DC, forge, *each("tea/62"))
    assert queue.left == [] and refused == []
    assert [build["state"] for build in forge.builds.values()] == ["SUCCESSFUL"]
    # What the server does not have was asked for once in this sender's life.
    assert len(forge.paths) == len(STATES) * 2 + is_older


async def test_data_centers_faults_are_waited_for_and_its_refusals_let_go():
    forge = StrictDataCenter("t0ken", {"waterways/lock"})
    forge.answers = [httpx2.Response(503, headers={"retry-after": "90"}), httpx2.Response(502)]
    queue, refused = await tell(
        ForgeKind.BITBUCKET_DC,
        forge,
        status(0),
        status(2, repo_name="waterways/gone"),
        status(4, repo_name="nobody"),
        status(6, state=StatusState.ERROR),
    )
    assert queue.left == [] and queue.now >= 90.0
    gone, nameless = (str(line["reason"]) for line in refused)
    assert "Repository waterways/gone does not exist" in gone
    assert "<project key>/<repository>" in nameless
    assert len(forge.builds) == 2
