"""Times in a terminal: whoever reads them knows of which day and of which zone they are."""

import time

import pytest

from ci_host.cli.clock import day, moment, times_of_day

# 2026-11-27, a quarter to midnight in UTC.
LATE = 1_795_823_100.0


@pytest.fixture(params=["UTC", "Asia/Tokyo"])
def zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def test_a_moment_has_its_day_and_its_zone(zone):
    said = {"UTC": "2026-11-27 23:45:00 UTC", "Asia/Tokyo": "2026-11-28 08:45:00 JST"}
    assert moment(LATE) == said[zone]


def test_a_day_is_said_once_and_again_where_another_begins(zone):
    moments = [LATE, LATE + 0.25, LATE + 1_000, LATE + 2_000]
    said = {
        "UTC": ["23:45:00.000", "23:45:00.250", "2026-11-28 UTC\n00:01:40.000", "00:18:20.000"],
        "Asia/Tokyo": ["08:45:00.000", "08:45:00.250", "09:01:40.000", "09:18:20.000"],
    }
    assert list(times_of_day(moments, day(LATE))) == said[zone]


def test_a_clock_that_is_set_back_is_another_zone_of_the_same_day(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    # 2026-10-25, 02:59:59 in summer and a second later.
    before = 1_792_889_999.0
    assert list(times_of_day([before, before + 1], day(before))) == [
        "02:59:59.000",
        "2026-10-25 CET\n02:00:00.000",
    ]
    monkeypatch.undo()
    time.tzset()
