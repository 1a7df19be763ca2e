"""Who is let in to the pages, and what their browser keeps."""

from hashlib import sha256

import httpx2
import pytest

from ci_host.access import Token, digest_of_secret
from tests.web.told_runs import running_run
from tests.web.visitor import check, client_of
from tests.web.world import SECRETS

pytestmark = pytest.mark.anyio


async def test_a_stranger_is_led_to_the_login_and_back(world):
    story = await running_run(world)
    answer = await check(world, f"/runs/{story.run}?job=eu/unit", who="")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next=/runs/{story.run}%3Fjob%3Deu/unit"


async def test_who_comes_from_another_site_gets_a_second_request_of_our_own(world):
    answer = await check(
        world, '/runs/x?a="><script>', who="", headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text and "<script>" not in answer.text


async def test_a_login_sets_a_cookie_that_no_script_and_no_other_site_can_use(world):
    form = {"token": f" {SECRETS['ada']}\n", "next": "/deliveries"}
    answer = await check(world, "/login", who="", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/deliveries")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert SECRETS["ada"] not in answer.text


async def test_a_wrong_token_is_refused_and_sets_no_cookie(world):
    answer = await check(world, "/login", who="", data={"token": "stn_wrong", "next": "/"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers and "not a token" in answer.text


async def test_a_logout_forgets_the_cookie(world):
    answer = await check(world, "/logout", data={})
    assert answer.status_code == 303
    assert 'staunch_token=""' in answer.headers["set-cookie"]


async def test_a_revoked_token_is_a_stranger(world):
    for digest, token in world.directory.tokens.items():
        world.directory.tokens[digest] = type(token)(
            digest=digest, name=token.name, admin=token.admin, revoked=True
        )
    assert (await check(world, "/")).headers["location"] == "/login?next=/"


async def let_in(world, who: str, secret: str = "") -> str:
    """The key of a command line that somebody lets in, by the key that they are logged in with."""
    verifier = "v" * 43
    challenge = sha256(verifier.encode()).hexdigest()
    asked = world.services.device_logins.ask(challenge, f"{who}'s laptop", "192.0.2.7")
    cookie = {"cookie": f"staunch_token={secret or SECRETS[who]}"}
    form = {"decision": "let-in"}
    answer = await check(world, f"/let-in/{asked.code}", who="", data=form, headers=cookie)
    assert answer.status_code == 200
    return world.services.device_logins.claim(asked.code, verifier).secret


async def test_the_key_of_a_command_line_ends_with_the_one_that_let_it_in(world):
    laptop = await let_in(world, "grace")
    server = await let_in(world, "grace", laptop)
    kept = await let_in(world, "ada")
    grace = digest_of_secret(SECRETS["grace"])
    gone = await check(world, "/api/v1/tokens/grace/revoke", who="ada", data={})
    assert gone.json()["id"] == world.directory.tokens[grace].id
    ids = [world.directory.tokens[digest_of_secret(one)].id for one in (laptop, server)]
    assert gone.json()["with"] == ids
    for secret, status in ((laptop, 401), (server, 401), (kept, 200)):
        bearer = {"authorization": f"Bearer {secret}"}
        assert (await check(world, "/api/v1/runs", who="", headers=bearer)).status_code == status


async def asks(world, secret: str, path: str, method: str = "GET") -> httpx2.Response:
    async with client_of(world, "") as client:
        bearer = {"authorization": f"Bearer {secret}"}
        return await client.request(method, path, headers=bearer)


async def test_a_command_line_ends_its_own_key_and_those_that_it_let_in(world):
    laptop = await let_in(world, "grace")
    server = await let_in(world, "grace", laptop)
    named = [world.directory.tokens[digest_of_secret(one)].id for one in (laptop, server)]
    gone = await asks(world, laptop, "/api/v1/tokens/me", "DELETE")
    assert (gone.json()["id"], gone.json()["with"]) == (named[0], named[1:])
    assert gone.json()["revoked"] and "secret" not in gone.json()
    for secret in (laptop, server):
        assert (await asks(world, secret, "/api/v1/runs")).status_code == 401
    assert (await check(world, "/", who="grace")).status_code == 200
    (deed,) = (await world.services.audit.page(None, 1)).found
    assert (deed.act, deed.by) == ("DELETE /api/v1/tokens/me", "grace")
    assert deed.on == {"id": named[0]}


async def test_a_key_that_others_may_use_does_not_end_itself(world):
    secret = SECRETS["grace"]
    refused = await asks(world, secret, "/api/v1/tokens/me", "DELETE")
    assert (refused.status_code, refused.json()["title"]) == (409, "Not a command line's")
    assert f"staunch token revoke {digest_of_secret(secret)[:12]}" in refused.json()["detail"]
    assert (await asks(world, secret, "/api/v1/runs")).status_code == 200


async def of_a_forge(world, secret: str = "stn_of_the_forge") -> str:
    """The key of somebody who logged in at a forge."""
    forge = {"connection": "tea", "user": "12", "login": "eve"}
    until = world.clock() + 60
    key = Token(digest=digest_of_secret(secret), name="eve@tea", expires_at=until, **forge)
    await world.services.sessions.put(key)
    return secret


async def test_so_does_the_command_line_of_somebody_who_logged_in_at_a_forge(world):
    browser = await of_a_forge(world)
    laptop = await let_in(world, "eve", browser)
    assert (await asks(world, laptop, "/api/v1/whoami")).json()["name"] == "eve@tea"
    assert (await asks(world, laptop, "/api/v1/tokens/me", "DELETE")).status_code == 200
    assert (await asks(world, laptop, "/api/v1/whoami")).status_code == 401
    assert (await asks(world, browser, "/api/v1/whoami")).status_code == 200


async def test_an_administrator_ends_a_login_at_a_forge_and_its_command_lines(world):
    browser = await of_a_forge(world)
    laptop = await let_in(world, "eve", browser)
    gone = await check(world, "/api/v1/tokens/eve@tea/revoke", who="ada", data={})
    assert gone.json()["id"] == digest_of_secret(browser)[:12]
    assert gone.json()["with"] == [digest_of_secret(laptop)[:12]]
    for secret in (browser, laptop):
        assert (await asks(world, secret, "/api/v1/whoami")).status_code == 401


async def test_a_name_of_a_forge_ends_the_logins_of_all_its_browsers(world):
    browsers = [await of_a_forge(world, secret) for secret in ("stn_desk", "stn_phone")]
    laptop = await let_in(world, "eve", browsers[1])
    gone = (await check(world, "/api/v1/tokens/eve@tea/revoke", who="ada", data={})).json()
    ids = [digest_of_secret(one)[:12] for one in (*browsers, laptop)]
    assert (gone["id"], gone["with"]) == (ids[0], ids[1:])
    for secret in (*browsers, laptop):
        assert (await asks(world, secret, "/api/v1/whoami")).status_code == 401


async def test_a_name_with_several_tokens_that_lists_have_says_which_to_name(world):
    for secret in ("stn_one", "stn_two"):
        digest = digest_of_secret(secret)
        world.directory.tokens[digest] = Token(digest=digest, name="eve@tea")
    await of_a_forge(world)
    refused = await check(world, "/api/v1/tokens/eve@tea/revoke", who="ada", data={})
    assert (refused.status_code, digest_of_secret("stn_one")[:12] in refused.text) == (409, True)


async def test_a_command_line_may_lose_its_key_alone(world):
    laptop = await let_in(world, "grace")
    named = world.directory.tokens[digest_of_secret(laptop)].id
    gone = await check(world, f"/api/v1/tokens/{named}/revoke", who="ada", data={})
    assert gone.json()["with"] == []
    assert (await check(world, "/", who="grace")).status_code == 200
