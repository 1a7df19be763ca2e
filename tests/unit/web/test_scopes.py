"""Tokens that are good for less than everything: what they see, what they do, until when."""

import asyncio

import httpx2
import pytest

from ci_host.access import Level, Token, digest_of_secret
from ci_host.api.still import ASK_AGAIN_S
from pipelines.repo import Repo
from tests.patience import PATIENCE_S
from tests.web.told_runs import running_run, waiting_run
from tests.web.visitor import client_of
from tests.web.world import SECRETS

pytestmark = pytest.mark.anyio


def token(world, name: str, **more) -> str:
    """A key for somebody; answers its secret."""
    secret = f"stn_{name}"
    digest = digest_of_secret(secret)
    world.directory.tokens[digest] = Token(digest=digest, name=name, **more)
    return secret


async def ask(world, secret: str, path: str, method: str = "GET", **options) -> httpx2.Response:
    async with client_of(world, "") as client:
        headers = {"authorization": f"Bearer {secret}", **options.pop("headers", {})}
        return await client.request(method, path, headers=headers, **options)


def other_repo(world, name: str = "you/bank") -> str:
    repo = Repo(id="tea/8", connection="tea", external_id="8", name=name, clone_url="https://x")
    world.directory.repos[repo.id] = repo
    return repo.id


async def test_a_token_to_read_reads_and_changes_nothing(world):
    story = await waiting_run(world)
    secret = token(world, "bot", scope=Level.READ)
    assert (await ask(world, secret, "/api/v1/runs")).json()["runs"][0]["id"] == story.run
    refused = await ask(world, secret, f"/api/v1/runs/{story.run}/cancel", "POST", json={})
    assert (refused.status_code, refused.json()["title"]) == (403, "Only to read")
    assert "bot may read, and not change anything" in refused.json()["detail"]


async def test_a_token_to_act_acts_and_changes_no_settings(world):
    story = await waiting_run(world)
    secret = token(world, "bot", scope=Level.ACT)
    done = await ask(world, secret, f"/api/v1/runs/{story.run}/cancel", "POST", json={})
    assert done.status_code == 202
    refused = await ask(world, secret, "/api/v1/tokens", "POST", json={"name": "x"})
    assert (refused.status_code, refused.json()["title"]) == (403, "Administrators only")


async def test_a_token_is_good_until_the_second_in_which_it_expires(world):
    secret = token(world, "bot", expires_at=world.clock() + 10)
    assert (await ask(world, secret, "/api/v1/runs")).status_code == 200
    world.history.now += 9.9
    assert (await ask(world, secret, "/api/v1/runs")).status_code == 200
    world.history.now += 0.1
    late = await ask(world, secret, "/api/v1/runs")
    assert (late.status_code, "expired" in late.json()["detail"]) == (401, True)


async def test_of_a_repository_that_is_not_seen_there_is_nothing(world):
    mine, other = await waiting_run(world, 1), other_repo(world)
    secret = token(world, "eve", scope=Level.ADMIN, repos=[other])
    assert (await ask(world, secret, "/api/v1/runs")).json()["runs"] == []
    hidden = await ask(world, secret, f"/api/v1/runs/{mine.run}")
    none = await ask(world, secret, f"/api/v1/runs/{mine.run[:-1]}e")
    assert hidden.status_code == none.status_code == 404
    assert hidden.text.replace(mine.run, "") == none.text.replace(f"{mine.run[:-1]}e", "")
    # Nor does the beginning of an id tell that one begins so.
    assert (await ask(world, secret, f"/api/v1/runs/{mine.run[:4]}")).status_code == 404
    assert (await ask(world, secret, "/api/v1/runs/%25")).status_code == 404
    listed = await ask(world, secret, "/api/v1/schedules?repo=me/shop")
    assert (listed.status_code, "me/shop' is not registered" in listed.json()["detail"]) == (
        404,
        True,
    )
    assert "there is: you/bank" in listed.json()["detail"]


async def test_the_beginning_of_an_id_is_looked_for_among_what_is_seen(world):
    first = await waiting_run(world, 1)
    await running_run(world, 3)
    secret = token(world, "ada2", repos=["tea/7"])
    found = await ask(world, secret, f"/api/v1/runs/{first.run}")
    assert found.json()["id"] == first.run
    two = await ask(world, secret, f"/api/v1/runs/{first.run[:6]}")
    assert two.status_code == 409
    assert first.run in two.json()["detail"]


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/x-www-form-urlencoded+json", "text/plain"],
)
async def test_a_body_is_judged_as_the_route_reads_it(world, kind):
    other = other_repo(world)
    secret = token(world, "eve", repos=[other])
    body = b'{"repo": "me/shop", "name": "n", "x": "&repo=you/bank&repo=tea/8&"}'
    answer = await ask(
        world,
        secret,
        "/api/v1/schedules/pause",
        "POST",
        content=body,
        headers={"content-type": kind},
    )
    assert answer.status_code == 404
    assert "me/shop" in answer.json()["detail"]
    both = await ask(world, secret, "/schedules/pause", "POST", content=b"repo=me/shop&name=n")
    assert both.status_code == 404


async def test_one_of_two_repositories_of_a_name_is_never_taken_for_the_other(world):
    other = other_repo(world, "me/shop")
    secret = token(world, "eve", repos=[other])
    # The name is the other one's, too; the id says which is meant.
    body = {"repo": "me/shop", "name": "n"}
    by_name = await ask(world, secret, "/api/v1/schedules/pause", "POST", json=body)
    assert (by_name.status_code, by_name.json()["title"]) == (409, "More than one repository")
    by_id = await ask(
        world, secret, "/api/v1/schedules/pause", "POST", json={**body, "repo": other}
    )
    assert by_id.json()["title"] != "No such repository"


async def test_deliveries_are_seen_where_they_led_to_what_is_seen(world):
    mine = await waiting_run(world, 1)
    world.delivered("d-1", runs=[mine.run])
    world.delivered("d-2", reason="no pipeline")
    other = other_repo(world)
    for repos, wanted in (([], 2), (["tea/7"], 1), ([other], 0), (["tea/7", other], 2)):
        secret = token(world, f"p{len(repos)}{wanted}", repos=repos)
        listed = (await ask(world, secret, "/api/v1/deliveries")).json()["deliveries"]
        assert len(listed) == wanted


async def test_what_is_about_the_whole_installation_is_not_for_some_repositories(world):
    secret = token(world, "eve", scope=Level.ADMIN, repos=["tea/7"])
    for path in ("/api/v1/queue", "/api/v1/tokens", "/api/v1/runners/registered"):
        refused = await ask(world, secret, path)
        assert (refused.status_code, refused.json()["title"]) == (
            403,
            "Not for some repositories only",
        )
    unnamed = await ask(world, secret, "/api/v1/secrets", "PUT", json={"name": "N", "value": "v"})
    assert unnamed.status_code == 403


async def test_the_first_tokens_which_have_no_scope_stay_what_they_were(world):
    me = await ask(world, SECRETS["ada"], "/api/v1/whoami")
    assert me.json() | {"repos": [], "expires_at": None} == me.json()
    assert (me.json()["admin"], me.json()["scope"]) == (True, "admin")
    grace = (await ask(world, SECRETS["grace"], "/api/v1/whoami")).json()
    assert (grace["admin"], grace["scope"]) == (False, "act")


@pytest.mark.parametrize("path", ["/api/v1/jobs/{job}/log/stream", "/runs/{run}/live", "/live"])
@pytest.mark.parametrize("what", ["revoked", "narrowed"])
async def test_what_is_followed_ends_when_the_key_is_good_for_it_no_more(world, path, what):
    story = await running_run(world)
    secret = token(world, "eve", repos=["tea/7"])
    url = path.format(job=story.job_id("eu/unit"), run=story.run)
    following = asyncio.create_task(ask(world, secret, url))
    digest = digest_of_secret(secret)
    while not world.news._watches:
        assert not following.done()
        await asyncio.sleep(0)
    if what == "narrowed" and path != "/live":
        token(world, "eve", repos=["tea/8"])
    else:
        world.directory.tokens[digest] = Token(digest=digest, name="eve", revoked=True)
    world.history.now += ASK_AGAIN_S
    async with asyncio.timeout(PATIENCE_S):
        assert (await following).status_code == 200


async def test_of_two_repositories_of_one_name_neither_is_taken_for_the_other(world):
    """Each forge may have an acme/shop; a secret or a policy of one is nothing for the other."""
    await waiting_run(world)
    (first,) = world.directory.repos.values()
    second = other_repo(world, first.name)
    admin = token(world, "root", admin=True)
    body = {"repo": first.name, "name": "KEY", "value": "x"}
    for path in (
        f"/api/v1/tests?repo={first.name}",
        f"/api/v1/schedules?repo={first.name}",
    ):
        told = await ask(world, admin, path)
        assert (told.status_code, told.json()["title"]) == (409, "More than one repository"), path
        assert first.id in told.json()["detail"]
        assert second in told.json()["detail"]
    told = await ask(world, admin, "/api/v1/secrets", "PUT", json=body)
    assert told.status_code == 409
    assert (await ask(world, admin, f"/api/v1/schedules?repo={first.id}")).status_code == 200
    # Whoever sees one of the two hears nothing of the other's id.
    narrow = token(world, "bot", repos=[first.id])
    told = await ask(world, narrow, f"/api/v1/schedules?repo={first.name}")
    assert told.status_code == 409
    assert second not in told.json()["detail"]
    other = token(world, "stranger", repos=["tea/9"])
    told = await ask(world, other, f"/api/v1/schedules?repo={first.name}")
    assert told.status_code == 404
