"""The page of tokens: who sees it, what its forms make and end, and that a key is shown once."""

import asyncio
import re

import msgspec
import pytest

from ci_host.access import Level, Token, digest_of_secret
from ci_host.ports import Unavailable
from tests.web.visitor import check, client_of
from tests.web.world import SECRETS, World

pytestmark = pytest.mark.anyio

FORM = {"form": "of-test", "name": "ci-bot", "scope": "read", "repos": "", "teams": "", "days": ""}


def secret_of(answer) -> str:
    (found,) = re.findall(r'aria-label="The new token">(stn_[\w-]+)</pre>', answer.text)
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


async def test_teams_and_repositories_are_separated_by_commas_alone(world):
    teams = "ops,  release managers ,,web,"
    form = FORM | {"repos": "me/shop, tea/7", "teams": teams, "days": "30", "scope": "act"}
    made = await check(world, "/tokens", data=form)
    token = world.directory.tokens[digest_of_secret(secret_of(made))]
    assert (token.repos, token.teams) == (["tea/7"], ["ops", "release managers", "web"])
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
        ({"repos": "me/shop tea/7"}, 404, "me/shop tea/7"),
        ({"form": ""}, 422, "Open the page Tokens"),
        ({"form": "x" * 65}, 422, "Open the page Tokens"),
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


def form_of(answer) -> str:
    (found,) = re.findall(r'<input type="hidden" name="form" value="([\w-]+)">', answer.text)
    return found


async def test_a_form_that_is_sent_again_makes_no_other_key(world):
    page = await check(world, "/tokens")
    form = FORM | {"form": form_of(page)}
    made = await check(world, "/tokens", data=form)
    secret = secret_of(made)
    again = await check(world, "/tokens", data=form)
    assert (again.status_code, secret in again.text) == (409, False)
    assert "This form was sent already" in again.text
    assert len(world.directory.tokens) == len(SECRETS) + 1
    # The form of the answer is another, and so is that of each page.
    assert len({form["form"], form_of(made), form_of(await check(world, "/tokens"))}) == 3
    assert secret_of(await check(world, "/tokens", data=FORM | {"form": form_of(made)})) != secret


async def test_a_form_that_was_wrong_may_be_sent_once_more(world):
    assert (await check(world, "/tokens", data=FORM | {"days": "soon"})).status_code == 422
    assert (await check(world, "/tokens", data=FORM)).status_code == 200


async def test_of_a_form_that_is_sent_twice_at_once_one_is_answered_with_a_key(world):
    put = world.catalog.put_token

    async def slowly(token: Token) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        await put(token)

    world.catalog.put_token = slowly
    sent = (check(world, "/tokens", data=FORM) for _ in range(3))
    answers = [one.status_code for one in await asyncio.gather(*sent)]
    assert sorted(answers) == [200, 409, 409]
    assert len(world.catalog.put) == 1


async def test_a_form_is_known_after_a_restart_even_if_its_key_is_revoked(world, tmp_path):
    secret = secret_of(await check(world, "/tokens", data=FORM))
    await check(world, "/tokens/revoke", data={"id": digest_of_secret(secret)[:12]})
    (tmp_path / "later").mkdir()
    later = World(tmp_path / "later")
    try:
        for kept in world.catalog.put:
            token = msgspec.json.decode(msgspec.json.encode(kept), type=Token)
            later.directory.tokens[token.digest] = token
        assert (await check(later, "/tokens", data=FORM)).status_code == 409
    finally:
        later.model.close()


async def test_a_key_that_could_not_be_kept_is_not_good_and_its_form_may_be_sent_again(world):
    put = world.catalog.put_token

    async def away(_token: Token) -> None:
        raise Unavailable("the bus is away")

    world.catalog.put_token = away
    assert (await check(world, "/tokens", data=FORM)).status_code == 503
    assert len(world.directory.tokens) == len(SECRETS)
    world.catalog.put_token = put
    assert (await check(world, "/tokens", data=FORM)).status_code == 200


async def test_of_many_that_are_over_the_newest_are_listed_and_the_others_counted(world):
    for number in range(103):
        digest = digest_of_secret(f"stn_{number}")
        world.directory.tokens[digest] = Token(
            digest=digest, name=f"old-{number:03}", created_at=1.0 + number, revoked=True
        )
    _, over = (await check(world, "/tokens")).text.split('id="tokens-over"')
    assert "103 that are over" in over
    listed = re.findall(r"old-\d{3}", over)
    assert listed == [f"old-{number:03}" for number in range(102, 2, -1)]
    assert "<code>staunch token list --all</code> has the 3 others" in over


async def test_one_thing_has_one_word_and_what_ends_by_itself_is_told_from_what_does_not(world):
    text = (await check(world, "/tokens", data=FORM)).text
    main = re.sub(r"<[^>]*>", " ", text[text.index("<main") : text.index("</main>")])
    assert re.findall(r"\b[Kk]eys?\b", main) == []
    assert "<td>no end</td>" in text
    assert "<code>staunch token revoke name@connection</code>" in text


async def test_names_stay_text(world):
    made = await check(world, "/tokens", data=FORM | {"name": "<b>bot</b>"})
    assert "<b>bot" not in made.text and "&lt;b&gt;bot" in made.text
