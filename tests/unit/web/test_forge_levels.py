"""What a forge says of somebody is believed for a minute, and its last word for ten."""

import asyncio

import pytest

from ci_host.access import Level, Token
from ci_host.api.forge_levels import BELIEVED_S, LAST_WORD_S, ForgeLevels
from ci_host.api.logins import LOGIN_S, Logins
from pipelines.repo import Repo
from tests.web.stores import MemoryMembers
from webhooks.forge import Later, Permission, Refused

pytestmark = pytest.mark.anyio

SHOP = Repo(id="tea/7", connection="tea", external_id="7", name="me/shop", clone_url="u")
BANK = Repo(id="hub/7", connection="hub", external_id="7", name="me/shop", clone_url="u")
ADA = Token(digest="d", name="ada@tea", connection="tea", user="11", login="ada")
KEY = ("tea/7", "11")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def members():
    return MemoryMembers()


@pytest.fixture
def levels(members, clock):
    return ForgeLevels(members, now=clock)


@pytest.mark.parametrize(
    ("said", "level"),
    [
        (Permission.NONE, None),
        (Permission.READ, Level.READ),
        (Permission.WRITE, Level.ACT),
        (Permission.ADMIN, Level.ADMIN),
        (Refused("no"), None),
        (Later("not now"), None),
    ],
    ids=["none", "read", "write", "admin", "refused", "later"],
)
async def test_the_permission_there_is_the_permission_here(levels, members, said, level):
    members.told[KEY] = said
    assert await levels.level(ADA, SHOP) is level


async def test_another_forges_repository_is_not_even_asked_about(levels, members):
    members.told["hub/7", "11"] = Permission.ADMIN
    assert await levels.level(ADA, BANK) is None
    assert await levels.seen(ADA, [SHOP, BANK]) == frozenset()
    assert members.asked == 1


async def test_a_permission_that_is_taken_away_is_gone_within_a_minute(levels, members, clock):
    members.told[KEY] = Permission.WRITE
    assert await levels.level(ADA, SHOP) is Level.ACT
    members.told[KEY] = Permission.NONE
    clock.now += BELIEVED_S - 0.1
    assert await levels.level(ADA, SHOP) is Level.ACT
    assert members.asked == 1
    clock.now += 0.1
    assert await levels.level(ADA, SHOP) is None


async def test_the_last_word_of_a_forge_that_is_away_counts_for_ten_minutes(levels, members, clock):
    members.told[KEY] = Permission.WRITE
    assert await levels.level(ADA, SHOP) is Level.ACT
    members.told[KEY] = Later("away")
    clock.now += LAST_WORD_S - 0.1
    assert await levels.level(ADA, SHOP) is Level.ACT
    clock.now += 0.1
    assert await levels.level(ADA, SHOP) is None
    members.told[KEY] = Permission.READ
    clock.now += BELIEVED_S
    assert await levels.level(ADA, SHOP) is Level.READ


async def test_a_forge_that_refuses_to_say_ends_it_at_once(levels, members, clock):
    members.told[KEY] = Permission.WRITE
    await levels.level(ADA, SHOP)
    members.told[KEY] = Refused("404")
    clock.now += BELIEVED_S
    assert await levels.level(ADA, SHOP) is None


async def test_many_who_ask_at_once_wait_for_one_question(levels, members):
    members.told[KEY] = Permission.READ
    found = await asyncio.gather(*(levels.level(ADA, SHOP) for _ in range(50)))
    assert set(found) == {Level.READ}
    assert members.asked == 1


def test_a_login_is_good_for_ten_minutes_once_and_where_it_began(clock):
    logins = Logins(clock)
    begun, cookie = logins.begin("tea", "/", "192.0.2.7")
    assert logins.end("tea", begun.state, "another") is None
    assert logins.end("tea", begun.state, cookie) is None
    begun, cookie = logins.begin("tea", "/", "192.0.2.7")
    assert logins.end("hub", begun.state, cookie) is None
    begun, cookie = logins.begin("tea", "/", "192.0.2.7")
    clock.now += LOGIN_S - 0.1
    assert logins.end("tea", begun.state, cookie) == begun
    begun, cookie = logins.begin("tea", "/", "192.0.2.7")
    clock.now += LOGIN_S
    assert logins.end("tea", begun.state, cookie) is None
    assert begun.browser != cookie and begun.verifier not in begun.state
