"""The page of tokens: who sees it, what its forms make and end, and that a key is shown once."""

import re

import pytest

from ci_host.access import Level, Token, digest_of_secret
from tests.web.visitor import check, client_of
from tests.web.world import SECRETS

pytestmark = pytest.mark.anyio

FORM = {"name": "ci-bot", "scope": "read", "repos": "", "teams": "", "days": ""}


def secret_of(answer) -> str:
    (found,) = re.findall(r'aria-label="The new key">(stn_[\w-]+)</pre>', answer.text)
    return found


async def get(world, secret: str, path: str) -> int:
    async with client_of(world, "") as client:
        return (await client.get(path, headers={"authorization": f"Bearer {secret}"})).status_code


async def test_a_key_that_was_made_is_good_and_shown_in_this_answer_alone(world):
    made = await check(world, "/tokens", data=FORM)
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    secret = secret_of(made)
    assert await get(world, secret, "/api/v1/runs") == 200
    assert await get(world, secret, "/tokens") == 403
    token = world.directory.tokens[digest_of_secret(secret)]
    assert (token.name, token.scope, token.by, token.expires_at) == (
        "ci-bot", Level.READ, "ada", 0.0
    )  # fmt: skip
    again = (await check(world, "/tokens")).text
    assert secret not in again and token.id in again


async def test_what_a_key_is_good_for_is_asked_in_words_between_commas(world):
    form = FORM | {"repos": "me/shop, tea/7", "teams": "ops,  web", "days": "30", "scope": "act"}
    made = await check(world, "/tokens", data=form)
    token = world.directory.tokens[digest_of_secret(secret_of(made))]
    assert (token.repos, token.teams) == (["tea/7"], ["ops", "web"])
    assert token.expires_at == world.clock() + 30 * 86_400
    assert "<strong>act</strong> in me/shop, until <time" in made.text


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"name": " "}, 422, "name: "),
        ({"scope": "all"}, 422, "scope: "),
        ({"scope": ""}, 422, "scope: "),
        ({"days": "soon"}, 422, "days: "),
        ({"days": "0"}, 422, "days: "),
        ({"days": "inf"}, 422, "days: "),
        ({"repos": "me/nowhere"}, 404, "me/nowhere"),
    ],
)
async def test_what_cannot_be_is_refused_and_makes_none(world, wrong, status, said):
    refused = await check(world, "/tokens", data=FORM | wrong)
    assert (refused.status_code, said in refused.text) == (status, True)
    assert len(world.directory.tokens) == len(SECRETS)


async def test_a_revoked_key_is_good_for_nothing_and_named_as_over(world):
    secret = secret_of(await check(world, "/tokens", data=FORM))
    id_ = digest_of_secret(secret)[:12]
    done = await check(world, "/tokens/revoke", data={"id": id_})
    assert (done.status_code, done.headers["location"]) == (303, "/tokens")
    assert await get(world, secret, "/api/v1/runs") == 401
    good, over = (await check(world, "/tokens")).text.split('id="tokens-over"')
    assert id_ not in good and id_ in over
    assert "1 that is over" in over
    assert (await check(world, "/tokens/revoke", data={"id": "none"})).status_code == 404
    assert (await check(world, "/tokens/revoke", data={})).status_code == 422


async def test_who_does_not_administer_the_whole_installation_sees_and_does_nothing(world):
    digest = digest_of_secret("stn_nina")
    narrow = Token(digest=digest, name="nina", scope=Level.ADMIN, repos=["tea/7"])
    world.directory.tokens[digest] = narrow
    for cookie in (SECRETS["grace"], "stn_nina"):
        headers = {"cookie": f"staunch_token={cookie}"}
        assert (await check(world, "/tokens", who="", headers=headers)).status_code == 403
        for path, form in (("/tokens", FORM), ("/tokens/revoke", {"id": narrow.id})):
            refused = await check(world, path, who="", headers=headers, data=form)
            assert refused.status_code == 403
    assert not world.directory.tokens[digest].revoked
    assert 'href="/tokens"' not in (await check(world, "/", who="grace")).text
    assert 'href="/tokens"' in (await check(world, "/")).text


async def test_a_form_of_another_site_makes_none(world):
    foreign = {"sec-fetch-site": "cross-site"}
    refused = await check(world, "/tokens", data=FORM, headers=foreign)
    assert refused.status_code == 403
    assert len(world.directory.tokens) == len(SECRETS)


async def test_what_was_done_is_recorded_without_the_secret(world):
    secret = secret_of(await check(world, "/tokens", data=FORM | {"days": "3"}))
    await check(world, "/tokens/revoke", data={"id": digest_of_secret(secret)[:12]})
    ended, made = (await world.services.audit.page(None, 2)).found
    assert (made.act, made.by) == ("POST /tokens", "ada")
    assert made.on == {"name": "ci-bot", "scope": "read", "days": "3"}
    assert ended.on == {"id": digest_of_secret(secret)[:12]}


async def test_names_stay_text(world):
    made = await check(world, "/tokens", data=FORM | {"name": "<b>bot</b>"})
    assert "<b>bot" not in made.text and "&lt;b&gt;bot" in made.text
