import pytest

from ci_host.web.words import age, duration, ref_name, setting, setting_name, state_word


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0.0s"), (0, "0.0s"), (9.94, "9.9s"), (9.95, "10s"), (59.4, "59s"), (59.6, "1m 00s"),
        (3599, "59m 59s"), (3600, "1h 00m"), (86399, "23h 59m"), (86400, "1d 00h"),
        (700_000, "8d 02h"),
    ],
)  # fmt: skip
def test_a_length_of_time_is_told_in_its_two_largest_units(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "just now"),
        (4, "just now"),
        (5, "5s ago"),
        (60, "1m ago"),
        (7200, "2h ago"),
        (86400, "1d ago"),
    ],
)
def test_an_age_is_told_in_one_unit(seconds, said):
    assert age(1_000_000, 1_000_000 + seconds) == said


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        ("refs/heads/main", "main"), ("refs/tags/v1", "v1"), ("refs/pull/7/head", "pull/7"),
        ("refs/heads/refs/heads/x", "refs/heads/x"), ("odd", "odd"), ("", ""),
    ],
)  # fmt: skip
def test_a_ref_is_called_as_people_call_it(ref, name):
    assert ref_name(ref) == name


def test_a_state_that_is_new_still_has_a_word():
    assert (state_word("timed_out"), state_word("gone_fishing")) == ("Timed out", "Gone fishing")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("cache_bytes", 10 * 2**30, ("cache", "10 GiB")),
        ("logs_days", 365.0, ("logs", "365 days")),
        ("reconcile_s", 0.5, ("reconcile", "0.5 s")),
        ("engines", 2, ("engines", "2")),
        ("http_host", "127.0.0.1", ("http host", "127.0.0.1")),
    ],
)
def test_a_setting_is_told_with_its_unit_behind_its_value(name, value, said):
    assert (setting_name(name), setting(name, value)) == said
