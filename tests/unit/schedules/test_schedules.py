"""Schedules follow the default branch, begin one Run for each due time, and outlive any death."""

import asyncio
from pathlib import Path

import pytest

from ci_host.ports import SourceRefused, SourceUnavailable
from pipelines.schedule import RUNNING_STILL, Alarm
from tests.engine.crashes import Killed, Life
from tests.schedules.world import (
    ADA,
    DAY,
    HOUR,
    MAIN,
    MONDAY,
    REPO,
    THREE,
    ScheduleWorld,
    acts,
    nightly,
    schedule_world,
)

pytestmark = pytest.mark.anyio


# What is registered.


async def test_a_push_registers_what_the_default_branch_declares(world):
    assert await world.push(nightly()) == "schedules of refs/heads/main: nightly"
    assert (await world.entry()).next == THREE
    assert world.timetables.armed == {REPO.id: THREE}


async def test_a_branch_that_is_not_the_default_registers_nothing(world):
    await world.push("on.push()")
    await world.push(nightly(), "refs/heads/try")
    assert (await world.table()).entries == []
    assert world.timetables.armed == {}


async def test_what_the_default_branch_no_longer_declares_is_gone(world):
    await world.push(nightly() + "\non.schedule('0 5 * * *', name='later')")
    await world.push("on.schedule('0 5 * * *', name='later')")
    assert [e.schedule.name for e in (await world.table()).entries] == ["later"]
    await world.push("")
    assert (await world.table()).entries == []
    assert world.timetables.armed == {}


async def test_a_delivery_that_comes_late_does_not_bring_old_schedules_back(world):
    await world.push(nightly())
    first = world.source.branches[MAIN]
    await world.push("on.schedule('0 5 * * *', name='later')")
    await world.pushed(first)
    assert [e.schedule.name for e in (await world.table()).entries] == ["later"]


async def test_of_two_engines_that_follow_at_once_the_newest_commit_wins(world):
    """Between the one's question and its write, the other registers a newer commit."""
    await world.push(nightly())
    asked: list[object] = []
    ask = world.source.head

    def head(repo):
        found = ask(repo)
        if not asked:
            world.source.push({".staunch/pipeline.py": "async def run(event, step): ...\n"})
        asked.append(found)
        return found

    class Raced:
        """The store as the slow one sees it."""

        def __getattr__(self, name):
            return getattr(world.timetables, name)

        async def write(self, table, *, after):
            if len(asked) == 1:
                await world.schedules.follow(REPO)
            return await world.timetables.write(table, after=after)

    world.source.head = head
    slow = world.engine(store=Raced())
    await slow.follow(REPO)
    assert len(asked) == 3, "the slow one met a conflict, and asked again"
    assert (await world.table()).commit == world.source.branches[MAIN]
    assert (await world.table()).entries == []


async def test_a_new_default_branch_brings_its_own_schedules(world):
    await world.push(nightly())
    await world.push("on.schedule('0 5 * * *', name='later')", "refs/heads/trunk")
    world.source.default = "refs/heads/trunk"
    await world.pushed(world.source.branches["refs/heads/trunk"], "refs/heads/trunk")
    table = await world.table()
    assert [e.schedule.name for e in table.entries] == ["later"]
    assert table.ref == "refs/heads/trunk"


async def test_a_forge_that_is_away_leaves_the_schedules_and_the_delivery_for_later(world):
    await world.push(nightly())
    world.source.push({".staunch/pipeline.py": "async def run(event, step): ...\n"})
    world.source.is_away = True
    with pytest.raises(SourceUnavailable):
        await world.schedules.follow(REPO)
    assert (await world.entry()).next == THREE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("on.schedule('0 25 * * *')", "'0 25 * * *' cannot be read: bad hour"),
        ("on.schedule('0 3 * * *', tz='Europe/Bärlin')", "no time zone 'Europe/Bärlin'"),
        ("on.schedule('0 3 31 2 *')", "cannot be read: bad day-of-month"),
        (nightly() + "\n" + nightly(), "two schedules 'nightly'"),
    ],
)
async def test_an_error_in_a_schedule_is_an_error_of_its_pipeline_with_file_and_line(
    world, text, said
):
    await world.push(text, other="on.schedule('0 5 * * *', name='later')")
    commit = world.source.branches[MAIN]
    code = await world.schedules._files.at(REPO, commit, MAIN)
    fault = code.faults["pipeline"]
    assert said in fault.message
    assert (fault.file, fault.line) == (".staunch/pipeline.py", 1 + text.count("\n") + 1)
    assert code.entries[1].error == fault
    # The other pipelines' schedules are kept.
    assert [e.schedule.name for e in (await world.table()).entries] == ["later"]


# What is begun.


async def test_each_due_time_has_one_run_that_knows_it_exactly(world):
    await world.push(nightly(tz="UTC", overlap="allow"))
    await world.move(MONDAY + 3 * DAY)
    assert await world.dues() == [THREE, THREE + DAY, THREE + 2 * DAY]
    (first, *_) = await world.starts()
    event = first.event
    assert (event.kind, event.ref, event.commit) == ("schedule", MAIN, world.source.branches[MAIN])
    assert (event.schedule.name, event.schedule.cron) == ("nightly", "0 3 * * *")
    assert first.source.commit == event.commit
    assert world.source.kept[first.run] == event.commit


async def test_a_run_has_the_defaults_of_what_its_pipeline_asks_for(world):
    asks = "on.manual(inputs={'percent': Input(int, default=25), 'env': str})"
    await world.push(f"from staunch import Input\n{asks}\n{nightly()}")
    await world.move(THREE)
    (only,) = await world.starts()
    assert only.inputs == {"percent": 25}


async def test_a_run_begins_on_the_newest_commit_and_an_alarm_that_rings_twice_begins_none(world):
    await world.push(nightly(overlap="allow"))
    await world.push(nightly(overlap="allow") + "\nNEW = 1")
    await world.move(THREE)
    for _ in range(3):
        world.timetables.rings.tell(Alarm(repo=REPO.id, due=THREE))
    await world.ring()
    (only,) = await world.starts()
    assert only.event.commit == world.source.branches[MAIN]


async def test_a_push_of_the_same_schedule_neither_repeats_nor_loses_a_due_time(world):
    await world.push(nightly(overlap="allow"))
    # Due, and not yet seen to, when the push comes.
    world.timetables.move(THREE + 1)
    await world.push(nightly(overlap="allow") + "\nNEW = 1")
    await world.ring()
    assert await world.dues() == [THREE]


async def test_changed_times_count_from_the_change_on(world):
    await world.push(nightly())
    world.timetables.move(MONDAY + 2 * HOUR)
    await world.push(nightly().replace("0 3", "0 1"))
    assert (await world.entry()).next == MONDAY + DAY + HOUR
    await world.move(MONDAY + DAY)
    assert await world.dues() == []


async def test_what_rang_is_due_also_if_the_clock_was_set_back_since(world):
    await world.push(nightly())
    world.timetables.move(THREE)
    world.timetables.time = THREE - 30.0
    await world.ring()
    assert await world.dues() == [THREE]
    assert world.timetables.armed == {REPO.id: THREE + DAY}


async def test_a_clock_that_was_years_ahead_is_forgotten_by_the_next_push(world):
    await world.push(nightly(overlap="allow"))
    world.timetables.time = MONDAY + 3_000 * DAY
    await world.push(nightly(overlap="allow") + "\nNEW = 1")
    assert (await world.entry()).next == THREE + 3_000 * DAY
    world.timetables.time = MONDAY + 4 * HOUR
    await world.push(nightly(overlap="allow") + "\nNEW = 2")
    assert (await world.entry()).next == THREE + DAY
    assert world.timetables.armed == {REPO.id: THREE + DAY}


# Overlap.


async def test_skip_begins_nothing_while_the_run_before_is_going(world):
    await world.push(nightly(overlap="skip"))
    await world.move(THREE + DAY)
    assert await world.dues() == [THREE]
    entry = await world.entry()
    assert (entry.skipped.due, entry.skipped.reason) == (THREE + DAY, RUNNING_STILL)
    await world.end(entry.last_run)
    await world.move(THREE + 2 * DAY)
    assert await world.dues() == [THREE, THREE + 2 * DAY]


@pytest.mark.parametrize("overlap", ["queue", "cancel", "allow"])
async def test_the_others_begin_a_run_and_say_what_it_does_about_the_one_before(world, overlap):
    await world.push(nightly(overlap=overlap))
    await world.move(THREE + DAY)
    assert await world.dues() == [THREE, THREE + DAY]
    assert {s.event.schedule.overlap for s in await world.starts()} == {overlap}


async def test_a_run_that_can_never_be_begun_is_told_and_does_not_hold_up_the_next(world):
    await world.push(nightly(overlap="skip"))
    keep = world.source.keep

    def refuse(repo, commit, run):
        raise SourceRefused("the commit is gone")

    world.source.keep = refuse
    await world.move(THREE)
    entry = await world.entry()
    assert await world.dues() == []
    assert (entry.skipped.due, entry.skipped.reason) == (THREE, "the commit is gone")
    assert (entry.last_run, entry.last_due) == ("", None)
    await acts(world).run_now(REPO.id, "nightly", ADA, "")
    await world.ring()
    assert (await world.entry()).skipped.due == world.now
    world.source.keep = keep
    await world.move(THREE + DAY)
    assert await world.dues() == [THREE + DAY]


async def test_two_engines_that_both_see_to_everything_begin_each_due_time_once(world):
    await world.push(nightly(overlap="allow") + "\non.schedule('*/30 * * * *', name='often')")
    engines = [world.engine(), world.engine()]
    while (due := world.timetables.armed[REPO.id]) <= THREE + HOUR:
        world.timetables.move(due)
        await asyncio.gather(*(one.attend(REPO.id, due) for one in engines))
        await world.end((await world.entry("often")).last_run)
    dues = [(s.event.schedule.name, s.event.schedule.due) for s in await world.starts()]
    often = [("often", MONDAY + number * HOUR / 2) for number in range(1, 9)]
    assert sorted(dues) == sorted([("nightly", THREE), *often])


# Deaths.


async def play(world: ScheduleWorld, ends_at: int | None, *, after: bool) -> Life:
    """Two pushes, a day and a wish, by one life of an engine after another."""
    life = Life(ends_at, after=after)
    schedules = world.engine(life)

    async def alive(act) -> None:
        nonlocal schedules
        try:
            await act(schedules)
        except (Killed, BaseExceptionGroup):
            # The next life: what was owed, the Delivery too, comes again.
            assert life.over.is_set(), "nothing else ends it"
            schedules = world.engine()
            world.timetables.rings.lose_handed_out()
            await world.ring(schedules)
            await act(schedules)

    top = "on.schedule('0 3 * * *', name='nightly', overlap='allow')"
    await alive(lambda s: world.push(top, schedules=s))
    await alive(lambda s: world.move(MONDAY + DAY, s))
    more = f"{top}\non.schedule('0 3,4 * * *', name='more', overlap='allow')"
    await alive(lambda s: world.push(more, schedules=s))
    await acts(world).run_now(REPO.id, "nightly", ADA, "k1")
    await alive(lambda s: world.move(MONDAY + 2 * DAY, s))
    await alive(world.ring)
    return life


async def outcome(world: ScheduleWorld) -> tuple[object, ...]:
    begun = sorted(
        (s.event.schedule.name, s.event.schedule.due, s.event.delivery)
        for s in await world.starts()
    )
    return begun, world.timetables.armed, [e.next for e in (await world.table()).entries]


async def undisturbed(folder: Path) -> tuple[tuple[object, ...], int]:
    async with schedule_world(folder) as world:
        life = await play(world, None, after=False)
        return await outcome(world), life.count


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_death_at_any_operation_begins_each_due_time_once(tmp_path, after):
    expected, operations = await undisturbed(tmp_path)
    assert expected[0] == [
        ("more", THREE + DAY, ""),
        ("more", THREE + DAY + HOUR, ""),
        ("nightly", THREE, ""),
        ("nightly", MONDAY + DAY, "k1"),
        ("nightly", THREE + DAY, ""),
    ]
    assert operations > 30
    for at in range(1, operations + 1):
        async with schedule_world(tmp_path) as world:
            life = await play(world, at, after=after)
            assert await outcome(world) == expected, f"a death at {life.last} ({at})"
