"""What is new in a repository's refs, and was told by nobody, becomes one Delivery."""

import pytest

from ci_host.engine import ref_news
from ci_host.ports import Conflict
from pipelines.event import Event, EventKind
from pipelines.trigger import run_of
from tests.engine.crashes import Killed, Life
from tests.unit.engine.ref_world import GRACE, MAIN, RefWorld, commit_of, pull_ref, repo_of
from webhooks.errors import InboxUnavailable

pytestmark = pytest.mark.anyio

REPO = repo_of("shop")
A, B, C = (commit_of(name) for name in "ABC")


@pytest.fixture
async def world():
    """A repository whose branch main was seen at A."""
    made = RefWorld(REPO)
    made.source.push(REPO, MAIN, A)
    assert not await made.take(REPO)
    made.time += 300.0
    return made


async def until_told(world, news=None):
    """Look, wait for the grace, and look again."""
    assert await world.take(REPO, news)
    world.time += GRACE
    await world.take(REPO, news)


async def test_what_was_there_at_the_first_look_is_no_news(world):
    assert world.told() == []


async def test_a_push_that_nobody_told_of_becomes_a_delivery_after_its_grace(world):
    world.source.push(REPO, MAIN, B)
    assert await world.take(REPO)
    assert world.told() == []
    world.time += GRACE
    assert not await world.take(REPO)
    (event,) = world.events()
    assert (event.kind, event.ref, event.commit, event.before) == (EventKind.PUSH, MAIN, B, A)
    (delivery,) = world.inbox.deliveries.values()
    assert delivery.event == "staunch.reconciled"
    assert delivery.connection == REPO.connection


async def test_a_push_that_was_told_of_becomes_none(world):
    world.source.push(REPO, MAIN, B)
    await world.tell(REPO, MAIN, B)
    assert not await world.take(REPO)
    world.time += 300.0
    assert not await world.take(REPO)
    assert world.told() == []


async def test_a_word_that_comes_within_the_grace_counts(world):
    world.source.push(REPO, MAIN, B)
    assert await world.take(REPO)
    world.time += GRACE / 2
    await world.tell(REPO, MAIN, B)
    world.time += GRACE / 2
    assert not await world.take(REPO)
    assert world.told() == []


async def test_new_branches_and_tags_are_news_and_so_are_those_that_are_gone(world):
    tag, branch = "refs/tags/v1", "refs/heads/try"
    world.source.push(REPO, branch, B)
    world.source.push(REPO, tag, C, tag_object=commit_of("tag"))
    await until_told(world)
    world.source.push(REPO, branch, "")
    world.source.push(REPO, tag, "")
    await until_told(world)
    assert world.told() == [
        ("push", branch, B),
        ("tag", tag, C),
        ("branch_delete", branch, ""),
        ("tag_delete", tag, ""),
    ]


async def test_an_annotated_tag_of_which_only_the_tag_object_was_told_is_told(world):
    tag = commit_of("tag")
    world.source.push(REPO, "refs/tags/v1", C, tag_object=tag)
    await world.tell(REPO, "refs/tags/v1", tag)
    assert not await world.take(REPO)
    assert world.told() == []


async def test_a_deletion_that_was_told_of_is_no_news(world):
    world.source.push(REPO, MAIN, "")
    await world.tell(REPO, MAIN, "")
    assert not await world.take(REPO)
    assert world.told() == []


async def test_a_ref_that_goes_back_to_where_it_was_is_news_each_time(world):
    for commit in (B, A, B):
        world.source.push(REPO, MAIN, commit)
        await until_told(world)
        world.time += 300.0
    assert world.told() == [("push", MAIN, B), ("push", MAIN, A), ("push", MAIN, B)]


async def test_an_old_word_does_not_stand_for_a_new_push(world):
    """B was told of, then C came and went unheard, and B again: its old word is no word of that."""
    world.source.push(REPO, MAIN, B)
    await world.tell(REPO, MAIN, B)
    world.time += 1.0
    assert not await world.take(REPO)
    for commit in (C, B):
        world.time += 300.0
        world.source.push(REPO, MAIN, commit)
        await until_told(world)
    assert world.told() == [("push", MAIN, C), ("push", MAIN, B)]


async def test_a_branch_that_moves_all_the_time_is_told_of_nevertheless(world):
    """The grace is that of the ref: else pushes closer to each other would never be told."""
    for number in range(8):
        world.source.push(REPO, MAIN, commit_of(f"n{number}"))
        await world.take(REPO)
        world.time += GRACE / 2
    assert [commit for _, _, commit in world.told()] == [commit_of(f"n{n}") for n in (2, 5)]


async def test_what_is_told_beside_does_not_hold_up_what_is_not(world):
    world.source.push(REPO, MAIN, B)
    world.source.push(REPO, "refs/heads/told", C)
    await world.tell(REPO, "refs/heads/told", C)
    await until_told(world)
    assert world.told() == [("push", MAIN, B)]
    (_, sight) = await world.sights.read(REPO.id)
    assert sight.refs == {MAIN: B, "refs/heads/told": C}


async def test_an_idle_repository_costs_the_store_nothing(world):
    life = Life(None, after=False)
    news = world.new_news(life)
    await world.take(REPO, news)
    first = life.count
    for _ in range(10):
        world.time += 300.0
        assert not await world.take(REPO, news)
    assert life.count == first
    assert world.sights.writes == 1


async def test_news_beyond_the_limit_is_told_by_the_next_look(world, monkeypatch):
    monkeypatch.setattr(ref_news, "NEWS_MAX", 2)
    for number in range(5):
        world.source.push(REPO, f"refs/heads/b{number}", B)
    assert await world.take(REPO)
    counts, more = [], True
    while more:
        world.time += GRACE
        more = await world.take(REPO)
        counts.append(len(world.told()))
    assert counts == [2, 4, 5]


async def test_an_inbox_that_is_away_loses_nothing(world):
    world.source.push(REPO, MAIN, B)
    assert await world.take(REPO)
    world.time += GRACE
    world.inbox.available = False
    with pytest.raises(InboxUnavailable):
        await world.take(REPO)
    assert (await world.sights.read(REPO.id))[1].refs == {MAIN: A}
    world.inbox.available = True
    assert not await world.take(REPO)
    assert world.told() == [("push", MAIN, B)]


async def test_of_two_that_look_at_once_the_slower_looks_again_and_nothing_is_told_twice(world):
    world.source.push(REPO, MAIN, B)
    first, second = world.new_news(), world.new_news()
    assert await world.take(REPO, first)
    assert await world.take(REPO, second)
    world.time += GRACE
    read = world.sights.read

    async def raced(repo):
        found = await read(repo)
        world.sights.read = read
        assert not await world.take(REPO, second)
        return found

    world.sights.read = raced
    assert await world.take(REPO, first), "a Conflict: look again"
    assert not await world.take(REPO, first)
    assert world.told() == [("push", MAIN, B)]


async def test_pull_requests_of_before_the_first_list_are_no_news(world):
    """Also where the API could be asked only later than git."""
    world.pulls.open(REPO, 7, B)
    assert not await world.take(REPO)
    world.time += GRACE
    assert not await world.take(REPO)
    assert world.told() == []
    assert (await world.sights.read(REPO.id))[1].refs == {MAIN: A, pull_ref(7): B}


async def test_a_pull_request_that_nobody_told_of_becomes_a_delivery(world):
    world.pulls.open(REPO, 7, B)
    await world.take(REPO)
    world.pulls.open(REPO, 8, C)
    await until_told(world)
    world.pulls.open(REPO, 7, C)
    await until_told(world)
    opened, pushed = world.events()
    assert (opened.kind, opened.ref, opened.commit) == ("pull_request", pull_ref(8), C)
    assert (opened.pull_request.action, opened.pull_request.base_ref) == ("opened", "main")
    assert (pushed.ref, pushed.commit, pushed.before) == (pull_ref(7), C, B)
    assert pushed.pull_request.action == "synchronize"


async def test_a_pull_request_that_was_told_of_or_closed_becomes_none(world):
    world.pulls.open(REPO, 7, B)
    await world.take(REPO)
    world.pulls.open(REPO, 8, C)
    await world.tell(REPO, pull_ref(8), C)
    world.pulls.close(REPO, 7)
    assert not await world.take(REPO)
    assert world.told() == []
    assert (await world.sights.read(REPO.id))[1].refs == {MAIN: A, pull_ref(8): C}


async def test_while_nobody_can_be_asked_for_pull_requests_they_stay_as_they_were(world):
    world.pulls.open(REPO, 7, B)
    await world.take(REPO)
    del world.pulls.repos[REPO.id]
    world.source.push(REPO, MAIN, C)
    await until_told(world)
    world.pulls.open(REPO, 7, B)
    assert not await world.take(REPO)
    assert world.told() == [("push", MAIN, C)]


async def test_a_first_look_that_meets_another_takes_the_others(world):
    other = repo_of("new")
    world.source.push(other, MAIN, A)
    write = world.sights.write

    async def raced(sight, *, after):
        world.sights.write = write
        await write(sight, after=after)
        raise Conflict("somebody was first")

    world.sights.write = raced
    assert await world.take(other)
    assert not await world.take(other)
    assert world.told() == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_death_at_any_operation_loses_nothing_and_tells_nothing_twice(after):
    """A life looks, waits and looks again; it is killed at each of its operations in turn."""
    deaths = 0
    for ends_at in range(1, 100):
        world = RefWorld(REPO)
        world.source.push(REPO, MAIN, A)
        world.pulls.open(REPO, 7, A)
        await world.take(REPO)
        world.source.push(REPO, MAIN, B)
        world.source.push(REPO, "refs/tags/v1", C)
        world.pulls.open(REPO, 7, B)
        life = Life(ends_at, after=after)
        news = world.new_news(life)
        try:
            for _ in range(3):
                await world.take(REPO, news)
                world.time += GRACE
        except Killed:
            deaths += 1
        news = world.new_news()
        for _ in range(3):
            await world.take(REPO, news)
            world.time += GRACE
        told = [("pull_request", pull_ref(7), B), ("push", MAIN, B), ("tag", "refs/tags/v1", C)]
        assert sorted(world.told()) == told, life.last
        refs = {MAIN: B, "refs/tags/v1": C, pull_ref(7): B}
        assert (await world.sights.read(REPO.id))[1].refs == refs
        if life.count < ends_at:
            break
    assert deaths >= 7, "two reads, two questions, three records and a write were tried"


async def test_the_forges_late_word_and_ours_ask_for_the_same_run(world):
    world.source.push(REPO, MAIN, B)
    await until_told(world)
    (ours,) = world.events()
    theirs = Event(kind=EventKind.PUSH, ref=MAIN, commit=B, before=A, sender="ada", delivery="d-1")
    assert ours.delivery != theirs.delivery
    assert run_of(REPO.id, ours, "pipeline") == run_of(REPO.id, theirs, "pipeline")


async def test_a_pull_request_whose_id_the_list_cuts_is_told_of_by_the_whole_one(world):
    world.pulls.repos[REPO.id] = []
    await world.take(REPO)
    world.time += 300.0
    await world.tell(REPO, pull_ref(7), B)
    world.pulls.open(REPO, 7, B[:12])
    assert not await world.take(REPO)
    assert world.told() == []
    world.time += 300.0
    world.pulls.open(REPO, 7, C[:12])
    await until_told(world)
    assert world.told() == [("pull_request", pull_ref(7), C[:12])]


async def test_a_pull_request_that_was_told_of_before_the_last_look_is_no_news_of_a_later_list(
    world,
):
    world.pulls.open(REPO, 7, A)
    await world.take(REPO)
    await world.tell(REPO, pull_ref(7), B)
    world.time += 300.0
    world.source.push(REPO, MAIN, B)
    await world.tell(REPO, MAIN, B)
    assert not await world.take(REPO)
    world.time += 300.0
    world.pulls.open(REPO, 7, B)
    assert not await world.take(REPO)
    assert world.told() == []
