"""Who is asked for calls that never arrived, and when."""

import pytest

from ci_host.engine.redeliveries import LOST_S_MAX, OVERLAP_S, REPOS_PER_ROUND, Redeliveries
from pipelines.repo import Connection, ForgeKind
from tests.unit.engine.ref_world import GRACE, MAIN, NOON, RefWorld, commit_of, repo_of
from webhooks.forge import Later, Refused

pytestmark = pytest.mark.anyio

SHOP, BLOG = repo_of("shop"), repo_of("blog")
TOKEN = Connection(id="forge", kind=ForgeKind.GITHUB, api_url="x", token="t")
APP = Connection(id="forge", kind=ForgeKind.GITHUB, api_url="x", app="1", app_key="k")


class Calls:
    """See CallSource. `answer`: what everybody is told."""

    def __init__(self):
        self.asked = []
        self.answer = []

    async def ask_again(self, connection, repo, since):
        self.asked.append((connection.id if repo is None else repo.id, since))
        return self.answer

    def taken(self):
        """Who was asked since this was called last."""
        found, self.asked = [name for name, _ in self.asked], []
        return found


def made(*repos, connection=TOKEN):
    """One life, and what it asks."""
    calls = Calls()
    there = {repo.id: repo for repo in repos}
    return Redeliveries(calls, there, {"forge": connection}, now=lambda: NOON), calls


async def test_after_a_start_the_webhook_of_every_repository_is_asked_once():
    again, calls = made(SHOP, BLOG)
    await again.round()
    assert sorted(calls.taken()) == [BLOG.id, SHOP.id]
    await again.round()
    assert calls.taken() == []


async def test_many_are_asked_in_several_rounds():
    repos = [repo_of(f"n{number}") for number in range(REPOS_PER_ROUND + 3)]
    again, calls = made(*repos)
    await again.round()
    assert len(calls.taken()) == REPOS_PER_ROUND
    await again.round()
    assert len(calls.taken()) == 3


async def test_a_repository_whose_refs_told_more_than_its_calls_is_asked_again():
    again, calls = made(SHOP)
    await again.round()
    calls.taken()
    again.suspect(SHOP.id)
    again.suspect(SHOP.id)
    again.suspect("forge/gone")
    await again.round()
    assert calls.taken() == [SHOP.id]


async def test_of_what_the_refs_alone_told_the_repository_is_named():
    world = RefWorld(SHOP)
    missed = []
    world.news = world.new_news(missed=missed.append)
    world.source.push(SHOP, MAIN, commit_of("A"))
    await world.take(SHOP)
    world.source.push(SHOP, MAIN, commit_of("B"))
    await world.take(SHOP)
    assert missed == []
    world.time += GRACE
    await world.take(SHOP)
    assert missed == [SHOP.id]


async def test_one_that_does_not_answer_is_asked_in_the_next_round_and_one_that_refuses_is_not():
    again, calls = made(SHOP)
    calls.answer = Later("502")
    await again.round()
    calls.answer = Refused("403")
    await again.round()
    await again.round()
    assert calls.taken() == [SHOP.id, SHOP.id]


async def test_an_app_is_asked_in_every_round_from_where_it_was_asked_last():
    again, calls = made(SHOP, connection=APP)
    calls.answer = Later("502")
    await again.round()
    calls.answer = []
    await again.round()
    await again.round()
    first = ("forge", NOON - LOST_S_MAX - OVERLAP_S)
    assert calls.asked == [first, first, ("forge", NOON - OVERLAP_S)]
