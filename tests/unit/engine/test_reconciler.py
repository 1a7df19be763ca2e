"""Every repository is looked at in its time; what fails is let alone, and people are told."""

import asyncio
import threading

import pytest

from ci_host.adapters.memory.names import named_by
from ci_host.engine.reconciler import AT_ONCE_MAX, UNAVAILABLE_S_MAX
from ci_host.ports import SourceRefused, SourceUnavailable, Unavailable
from pipelines.repo import Connection, ForgeKind
from tests.patience import PATIENCE_S
from tests.unit.engine.ref_world import GRACE, INTERVAL, MAIN, RefWorld, commit_of, repo_of
from webhooks.forge import FoundRepo, Later, Refused

pytestmark = pytest.mark.anyio

SHOP, BLOG, FAR = repo_of("shop"), repo_of("blog"), repo_of("far", "elsewhere")
A, B = commit_of("A"), commit_of("B")


@pytest.fixture
async def world():
    """Three repositories on two connections, of which each was looked at once."""
    made = RefWorld(SHOP, BLOG, FAR)
    for repo in (SHOP, BLOG, FAR):
        made.source.push(repo, MAIN, A)
    await passing(made, 2.0)
    assert len(made.source.asked) == 3
    made.source.asked.clear()
    return made


async def passing(world, seconds):
    """Let so many pass; whoever is due meanwhile is looked at."""
    for _ in range(int(seconds)):
        for repo in world.reconciler.due():
            await world.reconciler.look(repo)
        world.time += 1.0


async def reasons(world):
    """What is told not to be compared, and why."""
    return {one.subject: one.reason for one in await world.sights.not_compared()}


async def test_a_push_that_nobody_told_of_is_delivered_within_interval_and_grace(world):
    world.source.push(SHOP, MAIN, B)
    await passing(world, INTERVAL + GRACE + 2.0)
    assert world.told() == [("push", MAIN, B)]


async def test_a_forge_that_lists_no_pull_requests_keeps_no_push_from_being_seen(world):
    world.pulls.refusals[SHOP.id] = Refused("403 Resource not accessible")
    world.source.push(SHOP, MAIN, B)
    await passing(world, INTERVAL + GRACE + 2.0)
    assert world.told() == [("push", MAIN, B)]
    said = "its open pull requests cannot be listed: 403 Resource not accessible"
    assert await reasons(world) == {f"{SHOP.id}#pulls": said}
    del world.pulls.refusals[SHOP.id]
    await passing(world, INTERVAL + 2.0)
    assert await reasons(world) == {}


async def test_it_works_as_the_only_ear_for_a_forge_that_cannot_reach_us(world):
    for number in range(5):
        world.source.push(FAR, MAIN, commit_of(f"n{number}"))
        await passing(world, INTERVAL + GRACE + 2.0)
    assert [commit for _, _, commit in world.told()] == [commit_of(f"n{n}") for n in range(5)]


async def test_after_a_restart_everybody_is_looked_at_soon(world):
    world.source.push(SHOP, MAIN, B)
    world.reconciler = world.new_reconciler()
    await passing(world, GRACE + 4.0)
    assert world.told() == [("push", MAIN, B)]


async def test_a_repository_that_is_registered_later_is_seen_at_once(world):
    new = repo_of("new")
    world.source.push(new, MAIN, A)
    world.repos[new.id] = new
    await passing(world, 1.0)
    assert (await world.sights.read(new.id))[1].refs == {MAIN: A}


async def test_a_connection_that_does_not_answer_is_asked_less_and_less_and_others_as_ever(world):
    world.source.failures["forge"] = SourceUnavailable("forge.example took longer than 20 s")
    await passing(world, 12 * INTERVAL)
    asked = [name for name in world.source.asked if name != FAR.id]
    # 30, 60, 120, 240, 480 s, then every ten minutes: the pauses are those of the connection.
    assert len(asked) <= 11
    assert world.source.asked.count(FAR.id) == 12
    assert await reasons(world) == {"forge": "forge.example took longer than 20 s"}


async def test_when_it_answers_again_what_was_pushed_meanwhile_is_delivered(world):
    world.source.failures["forge"] = SourceUnavailable("away")
    world.source.push(SHOP, MAIN, B)
    world.source.push(BLOG, MAIN, B)
    await passing(world, 5_000.0)
    assert world.told() == []
    del world.source.failures["forge"]
    await passing(world, UNAVAILABLE_S_MAX + GRACE + 10.0)
    assert world.told() == [("push", MAIN, B)] * 2
    assert await reasons(world) == {}


async def test_a_connection_in_doubt_is_asked_for_one_repository_at_a_time():
    repos = [repo_of(f"r{number}") for number in range(20)]
    world = RefWorld(*repos)
    world.source.failures["forge"] = SourceUnavailable("away")
    await passing(world, 20.0)
    assert len(world.source.asked) == 1
    began, go = threading.Event(), threading.Event()
    answer = world.source.refs

    def slowly(repo):
        began.set()
        go.wait(PATIENCE_S)
        return answer(repo)

    world.source.refs = slowly
    world.time += 30.0
    due = world.reconciler.due()
    assert len(due) > 2
    first = asyncio.create_task(world.reconciler.look(due[0]))
    await asyncio.to_thread(began.wait, 10)
    for repo in due[1:]:
        await world.reconciler.look(repo)
    go.set()
    await first
    assert len(world.source.asked) == 2


async def test_a_repository_that_is_refused_does_not_hold_up_its_neighbours(world):
    world.source.failures[SHOP.id] = SourceRefused("acme/shop cannot be read: not found")
    await passing(world, 12 * INTERVAL)
    assert world.source.asked.count(BLOG.id) == 12
    assert world.source.asked.count(SHOP.id) <= 8
    assert await reasons(world) == {SHOP.id: "acme/shop cannot be read: not found"}
    del world.source.failures[SHOP.id]
    await passing(world, 3_600.0 + INTERVAL)
    assert await reasons(world) == {}


async def test_one_slow_repository_does_not_take_its_connection_along_for_ever(world):
    world.source.failures[SHOP.id] = SourceUnavailable("acme/shop took longer than 20 s")
    await passing(world, 20 * INTERVAL)
    assert world.source.asked.count(BLOG.id) >= 18
    assert world.source.asked.count(SHOP.id) <= 15


async def test_what_an_earlier_life_told_is_taken_back_by_this_one(world):
    world.source.failures["forge"] = SourceUnavailable("away")
    await passing(world, INTERVAL)
    assert await reasons(world) == {"forge": "away"}
    del world.source.failures["forge"]
    world.reconciler = world.new_reconciler()
    await passing(world, 3.0)
    assert await reasons(world) == {}


async def test_since_when_is_that_of_the_first_failure_whatever_the_next_ones_say(world):
    world.source.failures["forge"] = SourceUnavailable("away")
    await passing(world, INTERVAL)
    (first,) = await world.sights.not_compared()
    world.source.failures["forge"] = SourceUnavailable("it answers 502")
    await passing(world, 2 * INTERVAL)
    (later,) = await world.sights.not_compared()
    assert (later.reason, later.since) == ("it answers 502", first.since)


async def test_a_store_that_is_away_is_tried_again_soon(world):
    world.source.push(SHOP, MAIN, B)
    world.inbox.available = False
    await passing(world, INTERVAL + GRACE + 2.0)
    world.inbox.available = True
    await passing(world, 7.0)
    assert world.told() == [("push", MAIN, B)]


async def test_an_error_of_our_own_stops_nobody_else(world):
    answer = world.source.refs

    def broken(repo):
        if repo == SHOP:
            raise ZeroDivisionError
        return answer(repo)

    world.source.refs = broken
    world.source.push(BLOG, MAIN, B)
    await passing(world, INTERVAL + GRACE + 2.0)
    assert world.told() == [("push", MAIN, B)]


async def test_a_repository_of_a_connection_that_is_not_there_is_refused():
    world = RefWorld(SHOP)
    world.connections.clear()
    await passing(world, 2.0)
    assert await reasons(world) == {SHOP.id: "connection 'forge' of acme/shop is not there"}
    world.connections["forge"] = Connection(id="forge", kind=ForgeKind.GITEA)
    await passing(world, 2 * INTERVAL)
    assert await reasons(world) == {}


async def test_no_more_are_asked_at_once_than_the_limit_however_many_are_due():
    repos = [repo_of(f"r{number}", f"c{number}") for number in range(30)]
    world = RefWorld(*repos)
    lock, now, most = threading.Lock(), [0], [0]
    full, answer = threading.Event(), world.source.refs

    def counted(repo):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            if now[0] == AT_ONCE_MAX:
                full.set()
        assert full.wait(PATIENCE_S), "as many as the limit are asked at once"
        with lock:
            found = answer(repo)
            now[0] -= 1
        return found

    world.source.refs = counted
    world.reconciler._rounds.meet(world.repos, world.time)
    world.time += 100.0
    serving = asyncio.create_task(world.reconciler.serve())
    async with asyncio.timeout(PATIENCE_S):
        while len(world.source.asked) < len(repos):
            await asyncio.sleep(0.001)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert most[0] == AT_ONCE_MAX


async def test_a_server_that_is_away_when_a_failure_is_to_be_told_is_told_later(world):
    world.source.failures["forge"] = SourceUnavailable("away")
    tell = world.sights.tell

    async def lost(what):
        world.sights.tell = tell
        raise Unavailable("the bus is away")

    world.sights.tell = lost
    await passing(world, 2 * INTERVAL)
    assert await reasons(world) == {"forge": "away"}


def stranger_takes(world, repo):
    """Somebody else has its name now, and other refs there."""
    world.names.found[repo.name] = FoundRepo("9", repo.name, repo.clone_url)
    world.source.push(repo, MAIN, B)


async def test_of_a_stranger_who_took_the_name_nothing_is_recorded_and_it_is_told(world):
    world.names.found = named_by(world.repos)
    stranger_takes(world, SHOP)
    await passing(world, 3 * INTERVAL)
    assert world.told() == []
    assert (await world.sights.read(SHOP.id))[1].refs == {MAIN: A}
    (told,) = (await reasons(world)).items()
    assert told[0] == SHOP.id
    assert told[1].startswith("acme/shop is another repository now (id 9, not shop)")
    # It is no stranger's when it is told again.
    world.names.found = named_by(world.repos)
    await passing(world, 3_600.0 + GRACE + INTERVAL)
    assert world.told() == [("push", MAIN, B)]
    assert await reasons(world) == {}


async def test_a_name_is_confirmed_only_when_there_is_news(world):
    world.names.found = named_by(world.repos)
    await passing(world, 5 * INTERVAL)
    assert world.names.asked == []
    world.source.push(SHOP, MAIN, B)
    await passing(world, INTERVAL + GRACE + 2.0)
    assert world.names.asked == ["acme/shop"]
    assert world.told() == [("push", MAIN, B)]


async def test_while_nobody_confirms_a_name_its_news_wait_and_nothing_else_does(world):
    world.names.found = named_by(world.repos) | {SHOP.name: Later("502", retry_after_s=1.0)}
    world.source.push(SHOP, MAIN, B)
    await passing(world, 3 * INTERVAL)
    assert world.told() == []
    assert await reasons(world) == {}
    world.names.found = named_by(world.repos)
    await passing(world, INTERVAL + 2 * GRACE)
    assert world.told() == [("push", MAIN, B)]


async def test_a_repository_that_git_finds_no_more_is_followed_if_it_was_renamed(world):
    moved = FoundRepo(SHOP.external_id, "acme/store", "https://forge.example/store.git")
    world.names.found = named_by(world.repos) | {SHOP.name: moved, "acme/store": moved}
    world.source.failures[SHOP.id] = SourceRefused("acme/shop has moved")
    for _ in range(int(INTERVAL)):
        if world.repos[SHOP.id] == SHOP:
            await passing(world, 1.0)
    assert world.repos[SHOP.id].clone_url == "https://forge.example/store.git"
    assert await reasons(world) == {}
    del world.source.failures[SHOP.id]
    world.source.push(SHOP, MAIN, B)
    await passing(world, INTERVAL + 2 * GRACE)
    assert world.told() == [("push", MAIN, B)]
    (delivery,) = world.inbox.deliveries.values()
    assert '"name":"acme/store"' in delivery.body
