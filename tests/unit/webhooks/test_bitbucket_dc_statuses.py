import json

import httpx2
import msgspec
import pytest

from pipelines.repo import Connection, ForgeKind
from pipelines.status import Status, StatusState
from tests.contract.strict_bitbucket import StrictDataCenter
from webhooks.bitbucket_dc.client import TEXT_CHARS_MAX, BitbucketDcStatuses
from webhooks.forge import Later, Refused, Sent

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000.0
COMMIT = "1f0c3a5be2d94c7786ab01c2d3e4f5061728394a"
BUILDS = f"/rest/api/latest/projects/WATER/repos/lock/commits/{COMMIT}/builds"
OLDER = f"/rest/build-status/1.0/commits/{COMMIT}"
URL = "https://bitbucket.example"
STATUS = Status(
    id="s",
    connection="dc",
    repo="dc/62",
    repo_name="WATER/lock",
    commit=COMMIT,
    context="staunch/pipeline",
    state=StatusState.PENDING,
    description="2 of 3 steps done",
    target_url="http://localhost:8080/runs/1",
    at=NOW,
)


def strict(**options):
    return StrictDataCenter("t0ken", {"WATER/lock", "~ada/lock"}, **options)


async def check(forge, *, api_url=URL, token="t0ken", older=None, **changes):
    """What becomes of a Status, and the requests that were made for it.

    `forge`: a strict one, or the answer of one, or what went wrong on the way.
    """
    requests = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        if isinstance(forge, Exception):
            raise forge
        return forge if isinstance(forge, httpx2.Response) else forge(request)

    dc = Connection(id="dc", kind=ForgeKind.BITBUCKET_DC, api_url=api_url, token=token)
    known = set() if older is None else older
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        told = await BitbucketDcStatuses(dc, client, lambda: NOW, known).post_status(
            msgspec.structs.replace(STATUS, **changes)
        )
    return told, requests


@pytest.mark.parametrize(
    ("api_url", "begin"),
    [
        (URL, URL),
        (f"{URL}:7990/bitbucket/", f"{URL}:7990/bitbucket"),
        (f"{URL}/rest/api/latest", URL),
    ],
)
async def test_a_status_is_a_build_of_the_commit_in_its_repository(api_url, begin):
    told, (request,) = await check(httpx2.Response(204), api_url=api_url)
    assert told == Sent()
    assert str(request.url) == begin + BUILDS
    assert request.headers["authorization"] == "Bearer t0ken"
    assert json.loads(request.content) == {
        "key": "staunch/pipeline",
        "parent": "staunch/pipeline",
        "state": "INPROGRESS",
        "name": "staunch/pipeline",
        "description": "2 of 3 steps done",
        "url": "http://localhost:8080/runs/1",
    }


@pytest.mark.parametrize("is_older", [False, True])
@pytest.mark.parametrize(
    ("state", "theirs"),
    list(zip(StatusState, ["INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED"], strict=True)),
)
async def test_every_state_has_a_word_that_servers_of_any_age_know(state, theirs, is_older):
    forge = strict(is_older=is_older)
    told, _ = await check(forge, state=state)
    assert told == Sent()
    assert [build["state"] for build in forge.builds.values()] == [theirs]


@pytest.mark.parametrize("is_older", [False, True])
@pytest.mark.parametrize("chars", [TEXT_CHARS_MAX, TEXT_CHARS_MAX + 1, 1_000])
async def test_a_context_of_any_length_has_a_key_of_its_own_that_fits(chars, is_older):
    forge = strict(is_older=is_older)
    contexts = ["é" * chars, "é" * (chars - 1) + "f"]
    for context in contexts:
        assert (await check(forge, context=context))[0] == Sent()
    keys = [key for _, key in forge.builds]
    assert len(set(keys)) == 2
    assert (keys == contexts) is (chars <= TEXT_CHARS_MAX)


async def test_an_older_server_is_asked_once_for_what_it_does_not_have():
    forge, older = strict(is_older=True), set()
    for _ in range(3):
        assert (await check(forge, older=older))[0] == Sent()
    assert forge.paths == [BUILDS, OLDER, OLDER, OLDER]
    # Another server's age is another's.
    other = strict()
    await check(other, older=older, api_url="https://other.example")
    assert other.paths == [BUILDS]


async def test_a_repository_that_is_not_there_is_no_sign_of_an_older_server():
    forge, older = strict(), set()
    told, _ = await check(forge, older=older, repo_name="WATER/gone")
    assert isinstance(told, Refused) and "Repository WATER/gone does not exist" in told.reason
    assert len(forge.paths) == 1 and older == set()


@pytest.mark.parametrize("content", [b"", b"<html>", b"[1]", b'{"message": "null for uri"}'])
async def test_where_neither_api_is_there_the_first_answer_counts_and_is_forgotten(
    content,
):
    older = set()
    told, requests = await check(httpx2.Response(404, content=content), older=older)
    assert isinstance(told, Refused) and "404" in told.reason
    assert [request.url.path for request in requests] == [BUILDS, OLDER]
    assert older == set()


@pytest.mark.parametrize("fault", [429, 503])
async def test_a_passing_fault_of_the_older_api_is_later_and_nothing_is_remembered(fault):
    forge, older = strict(is_older=True), set()
    missing = httpx2.Response(404, json={"message": "null for uri"})
    forge.answers = [missing, httpx2.Response(fault, headers={"retry-after": "7"})]
    assert (await check(forge, older=older))[0] == Later(
        f"the forge answered {fault}: {httpx2.codes.get_reason_phrase(fault)}", 7.0
    )
    assert older == set()


async def test_a_persons_own_repository_is_found():
    forge = strict()
    assert (await check(forge, repo_name="~ada/lock"))[0] == Sent()
    assert "/projects/~ada/repos/lock/" in forge.paths[0]


async def test_a_wrong_token_is_refused_with_the_servers_words():
    told, _ = await check(strict(), token="wrong")
    assert isinstance(told, Refused) and "not permitted" in told.reason


@pytest.mark.parametrize("error", [httpx2.ConnectError("no"), httpx2.ReadTimeout("slow"), 502, 500])
async def test_a_passing_fault_is_later(error):
    told, requests = await check(httpx2.Response(error) if isinstance(error, int) else error)
    assert isinstance(told, Later) and len(requests) == 1


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b'{"errors": 1}', b'{"errors": [1]}', b'{"errors": [{"message": 1}]}']
)
@pytest.mark.parametrize("code", [400, 401, 403, 404, 405])
async def test_a_refusal_in_any_form_is_understood(code, content):
    told, _ = await check(httpx2.Response(code, content=content))
    assert isinstance(told, Refused) and str(code) in told.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"repo_name": ""},
        {"repo_name": "lock"},
        {"repo_name": "../lock"},
        {"repo_name": "WATER/.."},
        {"repo_name": "~/lock"},
        {"repo_name": "WATER/deep/lock"},
        {"repo_name": "WATER/lock?x"},
        {"commit": "HEAD"},
        {"target_url": ""},
        {"api_url": "https://[::1"},
        {"token": "t€ken"},
    ],
)
async def test_what_cannot_be_told_anywhere_is_refused_without_a_request(changes):
    told, requests = await check(httpx2.Response(204), **changes)
    assert isinstance(told, Refused) and requests == []
    assert "t€ken" not in told.reason
