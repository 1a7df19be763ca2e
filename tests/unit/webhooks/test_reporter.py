import json

import httpx2
import msgspec
import pytest

from pipelines.repo import Connection, ForgeKind
from pipelines.status import DESCRIPTION_CHARS_MAX, Status, StatusState
from tests.published.checked import transport_of
from webhooks.forge import Refused, SendLater, Sent
from webhooks.memory import MemoryConnections
from webhooks.reporter import BACKOFF_S_MAX, StatusSender, backoff_s

pytestmark = pytest.mark.anyio

COMMIT = "1f0c3a5be2d94c7786ab01c2d3e4f5061728394a"
NOW = 1_700_000_000.0
HUB = Connection(id="hub", kind=ForgeKind.GITHUB, api_url="https://api.hub.example", token="t0ken")
TEA = Connection(id="tea", kind=ForgeKind.GITEA, api_url="https://tea.example/", token="t0ken")
BARE = Connection(id="bare", kind=ForgeKind.GIT)
STATUS = Status(
    id="s",
    connection="hub",
    repo="hub/4711",
    repo_name="waterways/lock",
    commit=COMMIT,
    context="staunch/pipeline",
    state=StatusState.PENDING,
    description="2 of 3 steps done",
    target_url="https://ci.example/runs/1",
    at=NOW,
)


async def check(answer, *, attempt=1, dice=0.0, **changes):
    """What becomes of a Status, and the requests that were made for it."""
    requests, known = [], MemoryConnections(HUB, TEA, BARE)

    def forge(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    kind = (known.find(changes.get("connection", "hub")) or BARE).kind
    async with httpx2.AsyncClient(transport=transport_of(kind, forge)) as client:
        sender = StatusSender(known, client, now=lambda: NOW, dice=lambda: dice)
        status = msgspec.structs.replace(STATUS, **changes)
        return await sender.send(status, attempt=attempt), requests


@pytest.mark.parametrize(
    ("connection", "url", "authorization"),
    [
        ("hub", f"https://api.hub.example/repos/waterways/lock/statuses/{COMMIT}", "Bearer t0ken"),
        (
            "tea",
            f"https://tea.example/api/v1/repos/waterways/lock/statuses/{COMMIT}",
            "token t0ken",
        ),
    ],
)
async def test_a_status_is_posted_where_its_forge_takes_it(connection, url, authorization):
    told, (request,) = await check(httpx2.Response(201, json={}), connection=connection)
    assert told == Sent()
    assert (request.method, str(request.url)) == ("POST", url)
    assert request.headers["authorization"] == authorization
    assert json.loads(request.content) == {
        "state": "pending",
        "description": "2 of 3 steps done",
        "context": "staunch/pipeline",
        "target_url": "https://ci.example/runs/1",
    }


async def test_a_long_description_is_cut_to_what_github_takes():
    _, (request,) = await check(httpx2.Response(201), description="x\n" * 300, target_url="")
    body = json.loads(request.content)
    assert len(body["description"]) == DESCRIPTION_CHARS_MAX
    assert "target_url" not in body


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
async def test_a_passing_fault_is_tried_again_on_the_schedule(code):
    told, _ = await check(httpx2.Response(code), attempt=3)
    assert isinstance(told, SendLater)
    assert told.retry_after_s == backoff_s(3, 0.0)
    assert str(code) in told.reason


@pytest.mark.parametrize(
    "error", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow"), httpx2.ReadError("cut")]
)
async def test_a_network_fault_is_tried_again_and_named(error):
    told, _ = await check(error)
    assert isinstance(told, SendLater)
    assert type(error).__name__ in told.reason


@pytest.mark.parametrize(
    ("code", "headers", "wait"),
    [
        (429, {"retry-after": "90"}, 90.0),
        (403, {"retry-after": "45"}, 45.0),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW) + 70)}, 70.0),
        (503, {"retry-after": "9" * 9}, 3_600.0),
        (503, {"retry-after": "Fri, 24 Nov 2026 07:00:00 GMT"}, 0.5),
        (429, {"retry-after": "0"}, 0.5),
    ],
)
async def test_a_forge_that_names_a_time_is_given_it(code, headers, wait):
    told, _ = await check(httpx2.Response(code, headers=headers))
    assert isinstance(told, SendLater)
    assert told.retry_after_s == wait


async def test_a_secondary_limit_that_is_said_in_words_alone_is_waited_for():
    words = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
    told, _ = await check(httpx2.Response(403, json=words))
    assert isinstance(told, SendLater) and told.retry_after_s == 60.0


@pytest.mark.parametrize("code", [301, 400, 401, 403, 404, 422])
async def test_a_refusal_is_final_and_says_what_the_forge_said(code):
    answer = httpx2.Response(code, json={"message": "No commit found"}, headers={"location": "/x"})
    told, requests = await check(answer)
    assert isinstance(told, Refused)
    assert str(code) in told.reason and "No commit found" in told.reason
    assert len(requests) == 1


@pytest.mark.parametrize("code", [307, 308])
async def test_after_a_rename_the_forges_word_is_followed_once_and_to_no_other_host(code):
    moved = httpx2.Response(code, json={"message": "Moved"}, headers={"location": "/x"})
    told, requests = await check(moved)
    assert isinstance(told, Refused)
    assert [one.url.path for one in requests][1:] == ["/x"]
    assert requests[1].content == requests[0].content
    for elsewhere in ("https://elsewhere.example/x", "http://api.hub.example/x", "", "https://["):
        answer = httpx2.Response(code, headers={"location": elsewhere})
        told, requests = await check(answer)
        assert isinstance(told, Refused)
        assert len(requests) == 1, elsewhere


@pytest.mark.parametrize("content", [b"", b"<html>", b"[1]", b"\xff", b'{"message": 1}'])
async def test_a_refusal_in_any_form_is_understood(content):
    told, _ = await check(httpx2.Response(404, content=content))
    assert isinstance(told, Refused)


@pytest.mark.parametrize(
    "changes",
    [
        {"repo_name": "../../admin"},
        {"repo_name": "lock"},
        {"repo_name": "waterways/lock/../x"},
        {"repo_name": "waterways/.."},
        {"repo_name": "waterways/lock?x=1"},
        {"commit": "HEAD"},
        {"connection": "bare"},
        {"connection": "gone"},
    ],
)
async def test_what_cannot_be_told_anywhere_is_refused_without_a_request(changes):
    told, requests = await check(httpx2.Response(201), **changes)
    assert isinstance(told, Refused)
    assert requests == []


@pytest.mark.parametrize("api_url", ["https://tea.example:65536", "https://[::1", "https://a\0b"])
async def test_an_address_that_cannot_be_called_is_refused_and_says_so(api_url):
    async with httpx2.AsyncClient() as client:
        tea = msgspec.structs.replace(TEA, api_url=api_url)
        sender = StatusSender(MemoryConnections(tea), client, now=lambda: NOW, dice=lambda: 0.0)
        told = await sender.send(msgspec.structs.replace(STATUS, connection="tea"))
    assert isinstance(told, Refused)
    assert "Correct the connection's api_url" in told.reason


@pytest.mark.parametrize("token", ["t€ken", "t\u00f6ken"])
async def test_a_token_that_no_header_can_carry_is_refused_and_not_repeated(token):
    async with httpx2.AsyncClient() as client:
        tea = msgspec.structs.replace(TEA, token=token)
        sender = StatusSender(MemoryConnections(tea), client, now=lambda: NOW, dice=lambda: 0.0)
        told = await sender.send(msgspec.structs.replace(STATUS, connection="tea"))
    assert isinstance(told, Refused)
    assert "set a new one" in told.reason and token not in told.reason


def test_the_wait_doubles_from_one_second_to_a_minute_and_never_grows_further():
    full = [backoff_s(n, 0.999999) for n in range(1, 10)]
    assert [round(wait) for wait in full] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert backoff_s(10_000, 0.0) == BACKOFF_S_MAX / 2


def test_the_dice_spread_the_wait_over_its_upper_half():
    assert (backoff_s(4, 0.0), backoff_s(4, 0.5)) == (4.0, 6.0)
