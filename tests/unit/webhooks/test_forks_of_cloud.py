"""Where a fork of Bitbucket Cloud is its API alone says, and only a path can come of it."""

import asyncio

import httpx2
import pytest

from ci_host.adapters.git.errors import FetchFailed, OriginRefused
from ci_host.adapters.git.origin import Registered, origin_of, without_token
from ci_host.bootstrap.places import Places, fork_of
from pipelines.repo import Connection, ForgeKind, Repo
from tests.unit.webhooks.test_pulls import ANSWERS, BASE_URL, PULL, UUIDS
from webhooks.memory import MemoryConnections

pytestmark = pytest.mark.anyio

KIND = ForgeKind.BITBUCKET
REF = "refs/pull-requests/7/from"
REPO = Repo(
    id=f"c/{UUIDS[1]}",
    connection="c",
    external_id=UUIDS[1],
    name="acme/shop",
    clone_url="https://bitbucket.org/acme/shop.git",
)


def pull(name="sam/shop", uuid=UUIDS[2], branch="x"):
    source = {"branch": {"name": branch}, "commit": {"hash": "a" * 12}}
    there = {"uuid": f"{{{uuid}}}", "full_name": name} if uuid else None
    return {**ANSWERS[KIND][PULL[KIND]], "source": {**source, "repository": there}}


async def place(answer, *, ref=REF, kind=KIND, token="t", repo=REPO):
    """Where this ref is, where the API answers so; and what it was asked."""
    asked = []

    def forge(request):
        asked.append(request.url.path)
        return answer if isinstance(answer, httpx2.Response) else httpx2.Response(200, json=answer)

    known = MemoryConnections(Connection(id="c", kind=kind, api_url=BASE_URL, token=token))
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(forge)) as client:
        places = Places(known, client, asyncio.get_running_loop())
        return await asyncio.to_thread(places.of, repo, ref), asked


async def test_a_forks_branch_is_where_the_api_says_on_the_host_that_is_registered():
    found, asked = await place(pull())
    assert (found.repo.clone_url, found.ref) == (
        "https://bitbucket.org/sam/shop.git",
        "refs/heads/x",
    )
    assert (found.repo.id, found.repo.name) == (REPO.id, "sam/shop")
    assert asked == [PULL[KIND]]


async def test_a_branch_of_the_repository_itself_is_in_it():
    found, _ = await place(pull(uuid=UUIDS[1]))
    assert (found.repo, found.ref) == (REPO, "refs/heads/x")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "shop",
        "..//shop",
        "../..",
        "sam/..",
        "sam/shop/../../other",
        "@evil.example/shop",
        "evil.example:80/x",
        "//evil.example/x",
        "sam/shop?x",
        "sam/shop#x",
        "sam/sh op",
        "sam/shop\nx",
        "sam/shöp",
    ],
)
async def test_a_name_that_could_lead_elsewhere_is_refused(name):
    with pytest.raises(OriginRefused):
        await place(pull(name=name))


@pytest.mark.parametrize("branch", ["", "a..b", "-x y", "a b", "x\ny", "x~1"])
async def test_a_branch_that_git_would_not_take_is_refused(branch):
    with pytest.raises(OriginRefused):
        await place(pull(branch=branch))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx2.Response(503), FetchFailed),
        (httpx2.Response(404), OriginRefused),
        (httpx2.Response(200, text="[]"), OriginRefused),
        (pull(uuid=None), OriginRefused),
        ({**pull(), "destination": pull()["source"]}, OriginRefused),
    ],
)
async def test_what_the_api_does_not_say_is_fetched_from_nowhere(answer, error):
    with pytest.raises(error):
        await place(answer)


async def test_without_a_token_nobody_can_be_asked():
    with pytest.raises(OriginRefused, match="no token"):
        await place(pull(), token="")


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/pull-requests/0/from", f"{REF}/x", ""])
async def test_of_other_refs_nobody_is_asked(ref):
    assert await place(pull(), ref=ref) == (None, [])


@pytest.mark.parametrize("kind", [ForgeKind.GITHUB, ForgeKind.GITLAB, ForgeKind.GIT])
async def test_of_other_forges_nobody_is_asked(kind):
    assert await place(pull(), kind=kind) == (None, [])


def test_beside_a_path_there_is_no_fork():
    with pytest.raises(OriginRefused):
        fork_of(Repo(id="c/1", connection="c", external_id="1", name="a/b", clone_url="/x"), "s/b")


def test_a_public_fork_is_read_without_the_token_and_at_the_address_that_was_checked():
    connection = Connection(id="c", kind=KIND, api_url="https://api.bitbucket.org", token="t")
    registered = Registered(connections={"c": connection})
    origin = origin_of(fork_of(REPO, "sam/shop"), registered, lambda host, port: ["104.192.141.1"])
    assert any("Authorization" in value for value in origin.config.values())
    bare = without_token(origin)
    assert not any("Authorization" in value for value in bare.config.values())
    assert bare.config == {"http.curloptResolve": "bitbucket.org:443:104.192.141.1"}
