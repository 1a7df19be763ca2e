import base64
import json

import httpx2
import msgspec
import pytest

from pipelines.repo import Connection, ForgeKind
from pipelines.status import Status, StatusState
from tests.contract.strict_bitbucket import StrictBitbucket
from webhooks.bitbucket.client import KEY_CHARS_MAX, BitbucketStatuses
from webhooks.forge import Later, Refused, Sent

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000.0
COMMIT = "1f0c3a5be2d94c7786ab01c2d3e4f5061728394a"
UUID = "8d3e1c7a-0b52-4f6e-9a41-5c2d7e90f1b3"
STATUS = Status(
    id="s",
    connection="bb",
    repo=f"bb/{UUID}",
    repo_name="waterways/lock",
    commit=COMMIT,
    context="staunch/pipeline",
    state=StatusState.PENDING,
    description="2 of 3 steps done",
    target_url="https://ci.example/runs/1",
    at=NOW,
)


def strict(authorization="Bearer t0ken"):
    return StrictBitbucket(authorization, {f"{{{UUID}}}"})


async def check(forge, *, api_url="https://api.bitbucket.org", token="t0ken", **changes):
    """What becomes of a Status, and the requests that were made for it.

    `forge`: a strict one, or the answer of one, or what went wrong on the way.
    """
    requests = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        if isinstance(forge, Exception):
            raise forge
        return forge if isinstance(forge, httpx2.Response) else forge(request)

    bb = Connection(id="bb", kind=ForgeKind.BITBUCKET, api_url=api_url, token=token)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        told = await BitbucketStatuses(bb, client, lambda: NOW).post_status(
            msgspec.structs.replace(STATUS, **changes)
        )
    return told, requests


@pytest.mark.parametrize("api_url", ["https://api.bitbucket.org", "https://api.bitbucket.org/2.0/"])
async def test_a_status_is_posted_by_the_repositorys_uuid_whatever_its_name_is_today(api_url):
    told, (request,) = await check(strict(), api_url=api_url, repo_name="waterways/renamed")
    assert told == Sent()
    assert str(request.url) == (
        f"https://api.bitbucket.org/2.0/repositories/waterways/%7B{UUID}%7D/commit/{COMMIT}"
        "/statuses/build"
    )
    assert json.loads(request.content) == {
        "key": "staunch/pipeline",
        "state": "INPROGRESS",
        "name": "staunch/pipeline",
        "description": "2 of 3 steps done",
        "url": "https://ci.example/runs/1",
    }


@pytest.mark.parametrize(
    ("token", "header"),
    [
        ("ATCTT3x=", "Bearer ATCTT3x="),
        ("ada@waterways.example:ATATT3x", "Basic"),
        ("ada:app-pässword", "Basic"),
    ],
)
async def test_a_token_with_a_users_name_before_it_is_basic_and_any_other_a_bearer(token, header):
    if header == "Basic":
        header = f"Basic {base64.b64encode(token.encode()).decode()}"
    told, (request,) = await check(strict(header), token=token)
    assert told == Sent() and request.headers["authorization"] == header


@pytest.mark.parametrize(
    ("state", "theirs"),
    list(zip(StatusState, ["INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED"], strict=True)),
)
async def test_every_state_has_a_word_that_bitbucket_knows(state, theirs):
    told, (request,) = await check(strict(), state=state)
    assert told == Sent() and json.loads(request.content)["state"] == theirs


@pytest.mark.parametrize("chars", [KEY_CHARS_MAX, KEY_CHARS_MAX + 1, 254, 255, 256, 1_000])
async def test_a_context_of_any_length_has_a_key_of_its_own_that_fits(chars):
    forge = strict()
    contexts = ["é" * chars, "é" * (chars - 1) + "f"]
    for context in contexts:
        told, _ = await check(forge, context=context)
        assert told == Sent()
    keys = [key for _, _, key in forge.builds]
    assert len(set(keys)) == 2 and all(0 < len(key) <= KEY_CHARS_MAX for key in keys)
    assert (keys == contexts) is (chars <= KEY_CHARS_MAX)


async def test_the_same_context_takes_the_place_of_its_own_status_and_of_no_other():
    forge = strict()
    for state in (StatusState.PENDING, StatusState.SUCCESS, StatusState.SUCCESS):
        await check(forge, state=state, context="c" * 60)
    await check(forge, context="c" * 61)
    assert [build["state"] for build in forge.builds.values()] == ["SUCCESSFUL", "INPROGRESS"]


@pytest.mark.parametrize(
    "host", ["localhost:8080", "127.0.0.1", "[::1]:80", "ci", "10.0.0.7", "ci.local"]
)
async def test_a_link_that_is_not_on_the_internet_is_refused_with_what_to_do(host):
    link = f"http://{host}/runs/1"
    words = {"type": "error", "error": {"message": "url: Enter a valid URL."}}
    told, _ = await check(httpx2.Response(400, json=words), target_url=link)
    assert isinstance(told, Refused)
    assert "url: Enter a valid URL." in told.reason
    assert link in told.reason and "--base-url" in told.reason


async def test_a_build_that_another_token_made_is_refused_with_what_that_means():
    words = {"type": "error", "error": {"message": "You are not its creator"}}
    told, _ = await check(httpx2.Response(403, json=words))
    assert isinstance(told, Refused)
    assert "You are not its creator" in told.reason and "another token" in told.reason
    limited, _ = await check(httpx2.Response(403, json=words, headers={"retry-after": "9"}))
    assert isinstance(limited, Later)


async def test_another_refusal_says_nothing_of_the_address():
    words = {"type": "error", "error": {"message": "Bad request", "fields": {"state": ["no"]}}}
    told, _ = await check(httpx2.Response(400, json=words))
    assert isinstance(told, Refused) and "--base-url" not in told.reason
    assert "Bad request" in told.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"token": "wrong"},
        {"repo": "bb/ffffffff-0b52-4f6e-9a41-5c2d7e90f1b3"},
        {"target_url": "https://localhost/runs/1"},
    ],
)
async def test_what_bitbucket_refuses_is_refused_with_its_words(changes):
    told, requests = await check(strict(), **changes)
    assert isinstance(told, Refused) and len(requests) == 1
    assert any(
        word in told.reason for word in ("Token is invalid", "no longer exists", "valid URL")
    )


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({"retry-after": "90"}, 90.0), ({"retry-after": "9" * 20}, None), ({}, None)],
)
async def test_a_limit_is_waited_for_as_long_as_bitbucket_says(headers, wait):
    told, _ = await check(httpx2.Response(429, headers=headers))
    assert isinstance(told, Later) and told.retry_after_s == wait


@pytest.mark.parametrize("error", [httpx2.ConnectError("no"), httpx2.ReadTimeout("slow"), 502, 500])
async def test_a_passing_fault_is_later(error):
    told, _ = await check(httpx2.Response(error) if isinstance(error, int) else error)
    assert isinstance(told, Later)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"<html>", b"[1]", b"\xff", b'{"error": "no"}'),
        *(b'{"error": {"message": [1]}}', b'{"errors": [[]]}'),
    ],
)
@pytest.mark.parametrize("code", [400, 401, 403, 404])
async def test_a_refusal_in_any_form_is_understood(code, content):
    told, _ = await check(httpx2.Response(code, content=content))
    assert isinstance(told, Refused) and str(code) in told.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"repo": "bb/62"},
        {"repo": "bb/"},
        {"repo_name": ""},
        {"repo_name": "lock.git"},
        {"repo_name": "waterways/deep/lock"},
        {"repo_name": "../lock"},
        {"repo_name": "a b/lock"},
        {"commit": "HEAD"},
        {"commit": COMMIT[:12]},
        {"target_url": ""},
        {"api_url": "https://[::1"},
        {"token": "t€ken"},
    ],
)
async def test_what_cannot_be_told_anywhere_is_refused_without_a_request(changes):
    told, requests = await check(httpx2.Response(201), **changes)
    assert isinstance(told, Refused) and requests == []
    assert "t€ken" not in told.reason
