"""When a cron expression is due, above all when clocks are changed; and what is refused."""

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_host.engine.calendar import CronCalendar, check
from pipelines.schedule import INTERVAL_S_MIN, Schedule, ScheduleRefused

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 86_400.0
# The days on which Berlin's clocks skip an hour and repeat one, and New York's.
CHANGES = ["2026-03-28T12:00", "2026-10-24T12:00", "2026-03-07T12:00", "2026-10-31T12:00"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]


def schedule(cron: str, tz: str = "Europe/Berlin") -> Schedule:
    return Schedule(name="x", cron=cron, tz=tz, line=7)


def dues(cron: str, start: str, count: int, tz: str = "Europe/Berlin") -> list[str]:
    """The first due times after a local time, as local times with their offset."""
    zone = ZoneInfo(tz)
    at: float | None = datetime.fromisoformat(start).replace(tzinfo=zone).timestamp()
    found = []
    for _ in range(count):
        assert at is not None
        at = CronCalendar().next_due(schedule(cron, tz), at)
        assert at is not None
        found.append(datetime.fromtimestamp(at, zone).isoformat(timespec="minutes")[5:])
    return found


def test_a_fixed_time_in_the_hour_that_is_skipped_is_due_when_the_clocks_go_on():
    found = dues("30 2 * * *", "2026-03-28T12:00", 2)
    assert found == ["03-29T03:00+02:00", "03-30T02:30+02:00"]


def test_two_fixed_times_in_the_hour_that_is_skipped_are_one():
    found = dues("0,30 2 * * *", "2026-03-28T12:00", 2)
    assert found == ["03-29T03:00+02:00", "03-30T02:00+02:00"]


def test_a_fixed_time_in_the_hour_that_comes_twice_is_due_the_first_time_only():
    found = dues("30 2 * * *", "2026-10-24T12:00", 2)
    assert found == ["10-25T02:30+02:00", "10-26T02:30+01:00"]
    assert dues("30 2 * * *", "2026-10-25T02:50", 1) == ["10-26T02:30+01:00"]


def test_every_half_hour_is_every_half_hour_that_passes():
    assert dues("*/30 * * * *", "2026-03-29T01:10", 2) == ["03-29T01:30+01:00", "03-29T03:00+02:00"]
    assert dues("*/30 * * * *", "2026-10-25T02:10", 4) == [
        "10-25T02:30+02:00",
        "10-25T02:00+01:00",
        "10-25T02:30+01:00",
        "10-25T03:00+01:00",
    ]


def test_a_time_zone_is_that_of_its_place_in_summer_and_winter():
    assert dues("0 3 * * 1-5", "2026-10-23T12:00", 1) == ["10-26T03:00+01:00"]
    assert dues("0 3 * * *", "2026-07-01T00:00", 1) == ["07-01T03:00+02:00"]


part = st.one_of(
    st.just("*"), st.integers(1, 20).map("*/{}".format), st.integers(0, 4).map(str), st.just("0-3")
)


@settings(max_examples=150, deadline=None)
@given(part, part, st.sampled_from(ZONES), st.sampled_from(CHANGES), st.floats(0, 2 * DAY))
def test_due_times_do_not_depend_on_when_somebody_asks(minute, hour, tz, change, later):
    calendar, one = CronCalendar(), schedule(f"{minute} {hour} * * *", tz)
    start = datetime.fromisoformat(change).replace(tzinfo=ZoneInfo(tz)).timestamp()
    end = start + 3 * DAY
    all_dues = calendar.newest_due(one, start, end, 10_000)
    assert all(b - a >= INTERVAL_S_MIN for a, b in pairwise(all_dues))
    asked = start + later
    assert calendar.next_due(one, asked) == min(due for due in all_dues if due > asked)
    for at_most in (1, 3):
        rest = [due for due in all_dues if due > asked]
        assert calendar.newest_due(one, asked, end, at_most) == rest[-at_most:]


@pytest.mark.parametrize(
    ("cron", "tz", "said"),
    [
        ("61 * * * *", "UTC", "bad minute"),
        ("* 25 * * *", "UTC", "bad hour"),
        ("0 0 31 2 *", "UTC", "bad day-of-month"),
        ("0 0 * * FRIDAY", "UTC", "bad day-of-week"),
        ("*/0 * * * *", "UTC", "bad minute"),
        ("0 0 */31 2 1#5", "UTC", "never due"),
        ("* * * * * *", "UTC", "must have five fields"),
        ("0 0 * * *", "Mars/Olympus", "no time zone 'Mars/Olympus'"),
        ("0 0 * * *", "../etc/passwd", "no time zone"),
        ("0 0 * * *", "", "no time zone"),
        ("0 0 * * *", "Europe", "no time zone"),
        ("0 0 * * *", "localtime", "no time zone"),
        ("² 0 * * *", "UTC", "bad minute"),
        ("5-1 0 * * *", "UTC", "bad minute"),
    ],
)
def test_what_means_nothing_is_refused_with_its_line(cron, tz, said):
    with pytest.raises(ScheduleRefused, match=said) as refused:
        check(schedule(cron, tz), 0.0)
    assert refused.value.line == 7


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_either_a_schedule_or_refused(cron, tz):
    for one in (schedule(cron, "UTC"), schedule("0 3 * * *", tz)):
        try:
            check(one, 1e9)
        except ScheduleRefused:
            continue
        assert CronCalendar().next_due(one, 1e9) is not None
