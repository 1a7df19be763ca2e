"""Repositories that their forge would name are left alone until it does."""

import pytest

from ci_host.engine.attention import HOT_S, SWEEP_S
from ci_host.engine.change_lists import OVERLAP_S, WHOLE_S
from ci_host.ref_ports import Sight
from tests.unit.engine.ref_world import (
    GRACE,
    INTERVAL,
    MAIN,
    NOON,
    RefWorld,
    commit_of,
    pull_ref,
    repo_of,
)
from webhooks.forge import Changed, Later, Refused

pytestmark = pytest.mark.anyio

SHOP, BLOG, FAR = repo_of("shop"), repo_of("blog"), repo_of("far", "elsewhere")
A, B, C = (commit_of(name) for name in "ABC")
DAY = 86_400.0
LONG_AGO = NOON - 90 * DAY


async def passing(world, seconds):
    """Let so many pass, five at a time; whoever is due meanwhile is looked at."""
    for _ in range(int(seconds / 5)):
        await world.reconciler.hear()
        for repo in world.reconciler.due():
            await world.reconciler.look(repo)
        world.time += 5.0


@pytest.fixture
async def world():
    """Two listed repositories and one that is not, idle for months, all looked at once."""
    made = RefWorld(SHOP, BLOG, FAR)
    for repo in (SHOP, BLOG, FAR):
        made.source.push(repo, MAIN, A)
        await made.sights.write(Sight(repo=repo.id, at=LONG_AGO, refs={MAIN: A}), after=0)
    made.changes.stamps = {SHOP.id: LONG_AGO, BLOG.id: LONG_AGO - DAY}
    await passing(made, 10.0)
    assert sorted(made.source.asked) == [FAR.id, BLOG.id, SHOP.id]
    await passing(made, HOT_S + 2 * INTERVAL)
    made.source.asked.clear()
    made.changes.asked.clear()
    return made


async def test_idle_repositories_cost_one_list_in_an_interval_and_one_look_a_day(world):
    await passing(world, DAY)
    assert [world.source.asked.count(repo.id) for repo in (SHOP, BLOG)] == [1, 1]
    # That has no list, and so it is once an hour.
    assert world.source.asked.count(FAR.id) == 24
    assert len(world.changes.asked) == DAY / INTERVAL


async def test_it_is_asked_for_what_changed_since_its_newest_change_and_once_a_day_for_all(world):
    await passing(world, DAY)
    whole = [asked for asked in world.changes.asked if asked[2]]
    assert len(whole) == DAY / WHOLE_S
    assert {since for _, since, _ in world.changes.asked} == {LONG_AGO - OVERLAP_S}


async def test_a_lost_push_to_an_idle_repository_is_found_as_soon_as_to_any(world):
    world.source.push(SHOP, MAIN, B)
    world.changes.stamps[SHOP.id] = world.time
    await passing(world, INTERVAL + GRACE + 10.0)
    assert world.told() == [("push", MAIN, B)]
    assert BLOG.id not in world.source.asked


async def test_what_happens_in_the_hour_after_a_change_needs_no_second_word(world):
    world.changes.stamps[SHOP.id] = world.time
    await passing(world, 3_590.0)
    world.source.push(SHOP, MAIN, B)
    await passing(world, INTERVAL + GRACE + 10.0)
    assert world.told() == [("push", MAIN, B)]


async def test_a_push_that_the_list_never_names_is_found_by_the_sweep(world):
    world.source.push(SHOP, MAIN, B)
    await passing(world, SWEEP_S + GRACE + 10.0)
    assert world.told() == [("push", MAIN, B)]


async def test_a_list_that_did_not_name_what_moved_is_not_believed_of_that_repository(world):
    world.source.push(SHOP, MAIN, B)
    await passing(world, SWEEP_S + GRACE + 3 * INTERVAL)
    assert not world.attention.is_listed(SHOP.id)
    assert world.attention.is_listed(BLOG.id)
    world.source.push(SHOP, MAIN, C)
    await passing(world, 13 * INTERVAL)
    assert ("push", MAIN, C) in world.told()
    # Not even if it is in the whole list again.
    await passing(world, 2 * WHOLE_S)
    assert not world.attention.is_listed(SHOP.id)


async def test_a_push_after_one_that_a_webhook_told_of_is_found_as_soon_as_ever(world):
    world.source.push(FAR, MAIN, B)
    await world.tell(FAR, MAIN, B)
    await passing(world, 600.0)
    world.source.push(FAR, MAIN, C)
    await passing(world, INTERVAL + GRACE + 10.0)
    assert world.told() == [("push", MAIN, C)]


async def test_a_pull_request_that_a_list_of_its_own_names_is_looked_at(world):
    world.changes.pulls[BLOG.id] = world.time
    await passing(world, INTERVAL + 10.0)
    assert world.source.asked.count(BLOG.id) >= 1
    assert SHOP.id not in world.source.asked


async def test_forks_that_may_push_without_a_word_of_the_list_are_looked_at_each_hour(world):
    head = pull_ref(7)
    revision, _ = await world.sights.read(SHOP.id)
    sight = Sight(repo=SHOP.id, at=LONG_AGO, refs={MAIN: A, head: A}, pulls=True)
    await world.sights.write(sight, after=revision)
    world.pulls.open(SHOP, 7, A, is_fork=True)
    world.reconciler = world.new_reconciler()
    await passing(world, HOT_S + 2 * INTERVAL)
    world.source.asked.clear()
    await passing(world, DAY)
    assert world.source.asked.count(SHOP.id) == 24
    assert world.source.asked.count(BLOG.id) == 1


async def test_a_list_that_ends_too_early_is_read_whole_the_next_time(world):
    world.changes.answer = Changed({}, is_whole=False)
    await passing(world, INTERVAL)
    world.source.push(SHOP, MAIN, B)
    world.changes.stamps[SHOP.id] = world.time
    world.changes.answer = None
    world.changes.asked.clear()
    await passing(world, INTERVAL + GRACE + 10.0)
    assert world.changes.asked[0][2]
    assert world.told() == [("push", MAIN, B)]


@pytest.mark.parametrize("answer", [Later("502"), Refused("403 Forbidden")])
async def test_while_no_list_is_given_for_long_one_looks_as_if_there_was_none(world, answer):
    world.changes.answer = answer
    await passing(world, 13 * INTERVAL)
    world.source.push(SHOP, MAIN, B)
    await passing(world, 13 * INTERVAL + GRACE)
    assert world.told() == [("push", MAIN, B)]
    world.changes.answer = None
    world.changes.asked.clear()
    await passing(world, INTERVAL)
    assert world.changes.asked[0][2]
    assert world.attention.is_listed(BLOG.id)


async def test_a_repository_that_the_whole_list_lacks_is_looked_at_by_oneself(world):
    del world.changes.stamps[BLOG.id]
    world.changes.place = lambda repo: repo.connection if repo.connection == "forge" else ""
    await passing(world, 2 * WHOLE_S)
    assert not world.attention.is_listed(BLOG.id)
    assert world.attention.is_listed(SHOP.id)


async def test_an_error_of_our_own_in_a_list_stops_no_looks(world):
    async def broken(_repo, _since, *, whole):
        raise ZeroDivisionError

    world.changes.changed = broken
    world.source.push(FAR, MAIN, B)
    await passing(world, 13 * INTERVAL + GRACE)
    assert world.told() == [("push", MAIN, B)]


async def test_a_whole_list_names_repositories_of_strangers_in_vain(world):
    world.changes.answer = Changed({"none-of-ours": world.time, "../shop": 1.0, "": 2.0})
    await passing(world, INTERVAL + 10.0)
    assert not set(world.source.asked) - {FAR.id}


async def test_a_push_between_the_first_look_and_the_first_list_is_found_as_soon_as_any():
    world = RefWorld(SHOP, BLOG)
    for repo in (SHOP, BLOG):
        world.source.push(repo, MAIN, A)
        await world.sights.write(Sight(repo=repo.id, at=LONG_AGO, refs={MAIN: A}), after=0)
    for repo in world.reconciler.due():
        await world.reconciler.look(repo)
    world.time += 1.0
    for repo in world.reconciler.due():
        await world.reconciler.look(repo)
    assert sorted(world.source.asked) == [BLOG.id, SHOP.id]
    world.source.push(SHOP, MAIN, B)
    world.changes.stamps = {SHOP.id: world.time, BLOG.id: LONG_AGO}
    await passing(world, INTERVAL + GRACE + 10.0)
    assert world.told() == [("push", MAIN, B)]
