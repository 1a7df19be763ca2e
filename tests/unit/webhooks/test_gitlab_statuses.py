import json

import httpx2
import msgspec
import pytest

from pipelines.repo import Connection, ForgeKind
from pipelines.status import Status, StatusState
from webhooks.forge import Later, Refused, Sent
from webhooks.gitlab.client import GitLabStatuses

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000.0
COMMIT = "1f0c3a5be2d94c7786ab01c2d3e4f5061728394a"
STATUS = Status(
    id="s",
    connection="lab",
    repo="lab/62",
    repo_name="waterways/deep/lock",
    commit=COMMIT,
    context="staunch/pipeline",
    state=StatusState.PENDING,
    description="2 of 3 steps done",
    target_url="https://ci.example/runs/1",
    at=NOW,
)


async def check(answer, *, api_url="https://lab.example", token="t0ken", **changes):
    """What becomes of a Status, and the requests that were made for it."""
    requests = []

    def forge(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    lab = Connection(id="lab", kind=ForgeKind.GITLAB, api_url=api_url, token=token)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(forge)) as client:
        told = await GitLabStatuses(lab, client, lambda: NOW).post_status(
            msgspec.structs.replace(STATUS, **changes)
        )
    return told, requests


def cannot(event, state):
    words = f"Cannot transition status via :{event} from :{state} (Reason(s): Status cannot)"
    return httpx2.Response(400, json={"message": words})


@pytest.mark.parametrize("api_url", ["https://lab.example", "https://lab.example/api/v4/"])
async def test_a_status_is_posted_by_the_projects_number(api_url):
    told, (request,) = await check(httpx2.Response(201, json={}), api_url=api_url)
    assert told == Sent()
    assert str(request.url) == f"https://lab.example/api/v4/projects/62/statuses/{COMMIT}"
    assert request.headers["private-token"] == "t0ken"
    assert "authorization" not in request.headers
    assert json.loads(request.content) == {
        "state": "pending",
        "name": "staunch/pipeline",
        "description": "2 of 3 steps done",
        "target_url": "https://ci.example/runs/1",
    }


@pytest.mark.parametrize(
    ("state", "theirs"),
    list(zip(StatusState, ["pending", "success", "failed", "failed"], strict=True)),
)
async def test_every_state_has_a_word_that_gitlab_knows(state, theirs):
    _, (request,) = await check(httpx2.Response(201), state=state)
    assert json.loads(request.content)["state"] == theirs


async def test_what_is_longer_than_gitlab_takes_is_cut_and_a_link_left_out():
    _, (request,) = await check(
        httpx2.Response(201), description="x " * 300, context="c" * 300, target_url="h" * 256
    )
    body = json.loads(request.content)
    assert len(body["description"]) == len(body["name"]) == 255
    assert "target_url" not in body


@pytest.mark.parametrize(
    ("state", "event", "has"),
    [
        (StatusState.PENDING, "enqueue", "pending"),
        (StatusState.PENDING, "enqueue", "running"),
        (StatusState.SUCCESS, "succeed", "success"),
        (StatusState.ERROR, "drop", "failed"),
    ],
)
async def test_a_state_that_gitlab_has_already_counts_as_sent(state, event, has):
    told, _ = await check(cannot(event, has), state=state)
    assert told == Sent()


@pytest.mark.parametrize(
    ("state", "event", "has"),
    [
        (StatusState.SUCCESS, "succeed", "failed"),
        (StatusState.FAILURE, "drop", "success"),
        (StatusState.PENDING, "enqueue", "success"),
    ],
)
async def test_a_state_that_gitlab_will_not_leave_is_refused_with_its_words(state, event, has):
    told, _ = await check(cannot(event, has), state=state)
    assert isinstance(told, Refused) and f"from :{has}" in told.reason


async def test_two_at_once_are_told_again():
    told, _ = await check(httpx2.Response(409, json={"message": "conflict"}))
    assert isinstance(told, Later) and "409" in told.reason


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "90"}, 90.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": str(int(NOW) + 70)}, 70.0),
        ({}, None),
    ],
)
async def test_a_limit_is_waited_for_as_long_as_gitlab_says(headers, wait):
    told, _ = await check(httpx2.Response(429, headers=headers))
    assert isinstance(told, Later) and told.retry_after_s == wait


@pytest.mark.parametrize("error", [httpx2.ConnectError("no"), httpx2.ReadTimeout("slow"), 502, 500])
async def test_a_passing_fault_is_later(error):
    told, _ = await check(httpx2.Response(error) if isinstance(error, int) else error)
    assert isinstance(told, Later)


@pytest.mark.parametrize("content", [b"", b"<html>", b"[1]", b"\xff", b'{"message": {"a": [1]}}'])
@pytest.mark.parametrize("code", [400, 401, 403, 404])
async def test_a_refusal_in_any_form_is_understood(code, content):
    told, _ = await check(httpx2.Response(code, content=content))
    assert isinstance(told, Refused) and str(code) in told.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"repo": "lab/waterways"},
        {"repo": "lab/6 2"},
        {"repo": "lab/"},
        {"commit": "HEAD"},
        {"api_url": "https://[::1"},
        {"token": "t€ken"},
    ],
)
async def test_what_cannot_be_told_anywhere_is_refused_without_a_request(changes):
    told, requests = await check(httpx2.Response(201), **changes)
    assert isinstance(told, Refused) and requests == []
    assert "t€ken" not in told.reason
