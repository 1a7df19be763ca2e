"""Idle repositories are looked at more and more rarely, and whoever moves as soon as ever."""

import pytest

from ci_host.engine.attention import (
    HOT_S,
    IDLE_INTERVALS_MAX,
    SWEEP_S,
    SWEEPS_PER_HOUR_MAX,
    Attention,
    Moved,
    pause_of,
)

INTERVAL, DAY, NOON = 300.0, 86_400.0, 1_000_000.0


class Clock:
    def __init__(self):
        self.time = NOON

    def __call__(self):
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def attention(clock):
    return Attention(INTERVAL, now=clock, elapsed=clock)


@pytest.mark.parametrize("listed", [0, 1, 100_000])
@pytest.mark.parametrize("idle_s", [-5.0, 0.0, 3_600.0, 30_000.0])
def test_what_moved_within_a_hundred_intervals_is_looked_at_as_ever(idle_s, listed):
    assert pause_of(INTERVAL, idle_s, listed=listed) == INTERVAL


def test_an_idle_repository_waits_for_a_hundredth_of_its_idle_time_and_twelve_intervals_at_most():
    assert pause_of(INTERVAL, 60_000.0, listed=0) == 600.0
    assert pause_of(INTERVAL, 360_000.0, listed=0) == 3_600.0
    assert pause_of(INTERVAL, 360_001.0, listed=0) == 3_600.0
    assert pause_of(INTERVAL, 1e9, listed=0) == IDLE_INTERVALS_MAX * INTERVAL
    assert pause_of(30.0, 1e9, listed=0) == 360.0


def test_idle_repositories_of_a_list_are_swept_daily_and_together_a_hundred_times_an_hour_at_most():
    assert pause_of(INTERVAL, 1e9, listed=1) == SWEEP_S
    few, many = 2_400, 2_401
    assert pause_of(INTERVAL, 1e9, listed=few) == SWEEP_S
    assert pause_of(INTERVAL, 1e9, listed=many) > SWEEP_S
    for count in (many, 10_000, 100_000):
        looks_an_hour = count * 3_600.0 / pause_of(INTERVAL, 1e9, listed=count)
        assert looks_an_hour == pytest.approx(SWEEPS_PER_HOUR_MAX)


def test_an_interval_that_is_longer_than_all_that_stays_as_it_is():
    assert pause_of(3 * DAY, 1e9, listed=1) == IDLE_INTERVALS_MAX * 3 * DAY


def test_a_repository_that_nobody_has_looked_at_is_looked_at_in_the_interval(attention):
    assert attention.pause_s("a/1", None) == INTERVAL


def test_one_that_a_delivery_told_of_is_hot_for_a_while(attention, clock):
    long_ago = Moved(NOON - 90 * DAY)
    assert attention.pause_s("a/1", long_ago) == 3_600.0
    attention.stir("a/1")
    assert attention.woken() == {"a/1": False}
    clock.time += HOT_S - 1.0
    assert attention.pause_s("a/1", long_ago) == INTERVAL
    clock.time += 1.0
    assert attention.pause_s("a/1", long_ago) == 3_600.0
    assert attention.woken() == {}


def test_one_that_a_list_names_is_urgent_whatever_else_is_told_of_it(attention):
    attention.name("a/1")
    attention.stir("a/1")
    assert attention.woken() == {"a/1": True}


def test_one_whose_last_push_no_delivery_told_of_is_never_left_to_idle(attention):
    untold = Moved(NOON - 90 * DAY, untold=True)
    assert attention.pause_s("a/1", untold) == INTERVAL
    attention.enlist(["a/1"], heads=True)
    assert attention.pause_s("a/1", untold) == SWEEP_S


def test_a_list_that_says_nothing_of_forks_counts_only_where_none_is_open(attention):
    long_ago = Moved(NOON - 90 * DAY)
    attention.enlist(["a/1"], heads=False)
    attention.enlist(["b/1"], heads=True)
    for repo in ("a/1", "b/1"):
        attention.has_forks(repo, open_now=True)
    assert attention.pause_s("a/1", long_ago) == 3_600.0
    assert attention.pause_s("b/1", long_ago) == SWEEP_S
    attention.has_forks("a/1", open_now=False)
    assert attention.pause_s("a/1", long_ago) == SWEEP_S


def test_who_is_in_a_list_no_more_is_woken_and_idles_as_others_do(attention):
    attention.enlist(["a/1"], heads=True)
    attention.unlist(["a/1", "a/2"])
    assert attention.woken() == {"a/1": False}
    assert attention.pause_s("a/1", Moved(NOON - 90 * DAY)) == 3_600.0
