"""A repository is followed to its new name, and whoever takes the old one gets nothing of it."""

from dataclasses import replace

import msgspec
import pytest

from ci_host.adapters.memory.names import (
    MemoryBook,
    MemoryDeeds,
    MemoryNames,
    MemoryOwnerSettings,
    named_by,
)
from ci_host.engine.renames import LATER_S, REMEMBERED_S, NotOurs, Renames
from ci_host.engine.unwanted import Unwanted
from ci_host.ports import SourceRefused, SourceUnavailable
from pipelines.repo import Repo
from webhooks.forge import FoundRepo, Later, Refused

pytestmark = pytest.mark.anyio

SHOP = Repo(
    id="hub/7",
    connection="hub",
    external_id="7",
    name="acme/shop",
    clone_url="https://forge.example/acme/shop.git",
)
MOVED = FoundRepo("7", "acme/store", "https://forge.example/acme/store.git")
STRANGER = FoundRepo("9", "acme/shop", "https://forge.example/acme/shop.git")


class World:
    """One repository, its forge, and a clock that a test moves."""

    def __init__(self, repo: Repo = SHOP) -> None:
        self.time = 1_000.0
        self.book = MemoryBook({repo.id: repo})
        self.names = MemoryNames(named_by(self.book.repos))
        self.owners, self.deeds = MemoryOwnerSettings(), MemoryDeeds()
        self.renames = Renames(
            self.names,
            self.book,
            self.owners,
            self.deeds,
            now=lambda: self.time,
            elapsed=lambda: self.time,
        )

    async def heard(self, name: str) -> Repo | None:
        return await self.renames.repo(SHOP.id, name)

    def rename(self, found: FoundRepo, *, leads_on: bool = True) -> None:
        """At the forge, which may know who had the old name."""
        self.names.found[found.name] = found
        self.names.found[SHOP.name] = found if leads_on else Refused("404")


@pytest.fixture
def world():
    return World()


async def test_an_event_with_the_name_that_is_registered_asks_nobody(world):
    assert await world.heard("acme/shop") == SHOP
    assert await world.renames.repo("hub/8", "acme/other") is None
    assert world.names.asked == []


async def test_a_new_name_is_taken_with_its_place_if_it_is_of_the_same_id(world):
    world.rename(MOVED, leads_on=False)
    wanted = msgspec.structs.replace(SHOP, name=MOVED.name, clone_url=MOVED.clone_url)
    assert await world.heard("acme/store") == wanted
    assert world.book.repos[SHOP.id] == wanted
    (deed,) = world.deeds.deeds
    assert (deed.on["repo"], deed.on["name"], deed.on["url"]) == (
        "acme/shop",
        "acme/store",
        MOVED.clone_url,
    )


async def test_what_is_taken_is_what_the_forge_calls_it_and_not_what_the_event_does(world):
    world.names.found["old/alias"] = MOVED
    assert (await world.heard("old/alias")).name == "acme/store"


async def test_another_repositorys_name_in_an_event_changes_nothing(world):
    world.names.found["mallory/evil"] = FoundRepo("9", "mallory/evil", "https://forge.example/e")
    assert await world.heard("mallory/evil") == SHOP
    assert world.book.repos[SHOP.id] == SHOP
    assert world.deeds.deeds == []
    assert "another repository (id 9)" in world.renames.aside(SHOP)


async def test_a_flood_of_events_with_such_a_name_asks_once_in_some_minutes(world):
    for _ in range(50):
        await world.heard("acme/gone")
    # Once for it, and once whether the name that is registered is its own.
    assert world.names.asked == ["acme/gone", "acme/shop"]
    world.time += REMEMBERED_S
    await world.heard("acme/gone")
    assert len(world.names.asked) == 4


async def test_what_a_person_registers_counts_at_once(world):
    world.names.found = {"acme/shop": STRANGER, "acme/store": Refused("404")}
    with pytest.raises(Unwanted):
        await world.heard("acme/store")
    named = msgspec.structs.replace(SHOP, name=MOVED.name, clone_url=MOVED.clone_url)
    await world.book.put_repo(named)
    assert await world.heard("acme/store") == named


async def test_a_name_that_came_back_is_followed_at_once(world):
    world.rename(MOVED)
    await world.heard("acme/store")
    again = replace(MOVED, name="acme/shop", clone_url=SHOP.clone_url)
    world.names.found |= {"acme/shop": again, "acme/store": again}
    assert await world.heard("acme/shop") == SHOP
    world.rename(MOVED)
    assert (await world.heard("acme/store")).name == "acme/store"


async def test_a_late_event_with_the_old_name_takes_nothing_back(world):
    world.rename(MOVED)
    await world.heard("acme/store")
    assert (await world.heard("acme/shop")).name == "acme/store"
    # And if a stranger has that name by now, nothing either.
    world.time += REMEMBERED_S
    world.names.found["acme/shop"] = STRANGER
    assert (await world.heard("acme/shop")).name == "acme/store"


async def test_an_event_is_unwanted_if_the_name_that_is_registered_is_anothers_by_now(world):
    world.names.found = {"acme/shop": STRANGER, "acme/store": Refused("404")}
    for _ in range(3):
        with pytest.raises(Unwanted, match=r"another repository now \(id 9, not 7\)"):
            await world.heard("acme/store")
    assert len(world.names.asked) == 2


async def test_while_the_forge_is_away_an_event_with_another_name_waits_and_the_forge_is_let_alone(
    world,
):
    world.names.found["acme/store"] = Later("502")
    for _ in range(5):
        with pytest.raises(SourceUnavailable, match="502"):
            await world.heard("acme/store")
    assert world.names.asked == ["acme/store"]
    world.time += LATER_S
    world.rename(MOVED)
    assert (await world.heard("acme/store")).name == "acme/store"


async def test_without_an_api_it_is_as_before_and_it_is_said_what_to_do(world):
    world.names.found = None
    assert await world.heard("acme/store\n") == SHOP
    aside = world.renames.aside(SHOP)
    assert "an event calls it acme/store , and connection hub has no API" in aside
    assert "`staunch repo add" in aside
    assert await world.renames.check(SHOP) == SHOP
    await world.heard("acme/shop")
    assert world.renames.aside(SHOP) == ""


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/acme/store.git", "http://forge.example/acme/store.git", "https://[", ""],
)
async def test_a_place_on_another_host_is_not_taken(world, url):
    world.rename(replace(MOVED, clone_url=url))
    with pytest.raises(Unwanted, match="which is not where it was registered at"):
        await world.heard("acme/store")
    assert world.book.repos[SHOP.id] == SHOP


async def test_what_is_given_to_an_owner_by_name_is_not_given_to_whoever_comes_there(world):
    world.rename(replace(MOVED, name="big/shop"))
    world.owners.given = {("hub", "big")}
    with pytest.raises(Unwanted, match="big has secrets or a policy here"):
        await world.heard("big/shop")
    assert world.book.repos[SHOP.id] == SHOP
    world.owners.given = {("hub", "acme"), ("other", "big")}
    world.time += REMEMBERED_S
    assert (await world.heard("big/shop")).name == "big/shop"


async def test_a_path_on_this_machine_stays_where_it_is():
    bare = msgspec.structs.replace(SHOP, clone_url="/srv/git/shop.git")
    world = World(bare)
    world.rename(MOVED)
    assert await world.heard("acme/store") == msgspec.structs.replace(bare, name="acme/store")
    world.names.found["acme/shop"] = STRANGER
    assert await world.renames.check(bare) == bare


async def test_a_check_says_what_the_name_is_now(world):
    assert await world.renames.check(SHOP) == SHOP
    world.names.found["acme/shop"] = Later("502")
    assert await world.renames.check(SHOP) == Later("502")
    world.time += LATER_S
    world.names.found["acme/shop"] = Refused("403 Forbidden")
    with pytest.raises(SourceRefused, match="403 Forbidden"):
        await world.renames.check(SHOP)
    world.names.found["acme/shop"] = STRANGER
    with pytest.raises(NotOurs):
        await world.renames.check(SHOP)
    world.rename(MOVED)
    assert (await world.renames.check(SHOP)).name == "acme/store"
    assert world.book.repos[SHOP.id].clone_url == MOVED.clone_url
    # Whoever still holds the old one hears of it, and nothing is done twice.
    assert (await world.renames.check(SHOP)).name == "acme/store"
    assert len(world.deeds.deeds) == 1


async def test_what_was_said_lately_will_do_where_that_is_enough(world):
    await world.renames.check(SHOP)
    await world.renames.check(SHOP, within_s=60.0)
    assert len(world.names.asked) == 1
    await world.renames.check(SHOP)
    world.time += 60.0
    await world.renames.check(SHOP, within_s=60.0)
    assert len(world.names.asked) == 3
