"""Steps that are alike by their names, and how many rows of a timeline become one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.web.drawing import ALIKE_MIN, ALL, BROKEN_SHOWN_MAX, COLUMNS, GROUPED_FROM, draw
from ci_host.web.step_groups import groups_of, pattern_of
from ci_host.web.timeline import Phase, Row, Segment, Timeline


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        ("unit", "unit"),
        ("shard-017/build", "shard-*/build"),
        ("test/python=3.13,os=debian", "test/python=*,os=*"),
        ("poll#12", "poll#*"),
        ("eu/deploy", "eu/deploy"),
    ],
)
def test_a_star_stands_where_a_name_counts_or_names_a_value(key, pattern):
    assert pattern_of(key) == pattern


def test_those_that_are_alike_are_together_from_a_number_on_and_else_alone():
    keys = ["plan", *(f"s{n}/build" for n in range(3)), *(f"r{n}" for n in range(2))]
    assert [(one.name, len(one.keys)) for one in groups_of(keys, 3)] == [
        ("", 1), ("s*/build", 3), ("", 1), ("", 1)
    ]  # fmt: skip


def test_names_that_are_not_alike_are_together_by_their_scope():
    keys = ["eu/a", "eu/b", "us/a", "eu/c"]
    assert [(one.name, one.keys) for one in groups_of(keys, 3)] == [
        ("eu/", ("eu/a", "eu/b", "eu/c")), ("", ("us/a",))
    ]  # fmt: skip


@given(st.lists(st.text("ab12/=,", min_size=1, max_size=8), unique=True), st.integers(1, 5))
def test_every_step_is_in_one_group(keys, least):
    found = [key for group in groups_of(keys, least) for key in group.keys]
    assert sorted(found) == sorted(keys)


def wide(count: int, broken: int = 0) -> Timeline:
    rows = tuple(
        Row(f"shard-{n}", "job", "failed" if n < broken else "succeeded",
            (Segment(Phase.QUEUED, 0, n), Segment(Phase.RUNNING, n, n + 10, outcome="succeeded")))
        for n in range(count)
    )  # fmt: skip
    return Timeline(0.0, count + 10.0, False, rows, ())


@pytest.mark.parametrize(("count", "rows"), [(GROUPED_FROM, GROUPED_FROM), (GROUPED_FROM + 1, 1)])
def test_many_rows_that_are_alike_are_one_row(count, rows):
    assert len(draw(wide(count)).rows) == rows


def test_of_a_group_some_that_broke_stay_rows_and_the_rest_is_there_on_request():
    line = wide(500, broken=BROKEN_SHOWN_MAX + 1)
    shown = draw(line).rows
    assert shown[0].group.counts == {"failed": 6, "succeeded": 494}
    assert [one.row.state for one in shown[1:]] == ["failed"] * BROKEN_SHOWN_MAX
    for opened in (["shard-*"], [ALL]):
        assert len(draw(line, opened=opened).rows) == 501
    assert len(draw(line, opened=["another"]).rows) == 6


def test_a_group_is_drawn_as_how_many_did_what():
    (drawn,) = draw(wide(GROUPED_FROM + 1)).rows
    runs, waits = drawn.group.areas
    assert (runs.phase, waits.phase) == (Phase.RUNNING, Phase.QUEUED)
    for area in (runs, waits):
        assert re.fullmatch(r"(M\d+ \d+(H\d+V\d+|H\d+)+Z)+", area.path)
        across = [int(x) for x in re.findall(r"[MH](\d+)", area.path)]
        up = [int(y) for y in re.findall(r"(?:M\d+ |V)(\d+)", area.path)]
        assert max(across) <= COLUMNS and 0 <= min(up) <= max(up) <= 100
    assert min(int(y) for y in re.findall(r"(?:M\d+ |V)(\d+)", waits.path)) == 0, "the highest"


def test_few_that_are_alike_stay_rows_among_many():
    rows = [Row(f"step-{'abcdefghijklmnopqrstuvwxyz'[n % 26]}{'x' * n}", "do", "succeeded", ())
            for n in range(GROUPED_FROM)]  # fmt: skip
    alike = [Row(f"alike-{n}", "do", "succeeded", ()) for n in range(ALIKE_MIN - 1)]
    line = Timeline(0.0, 1.0, False, (*rows, *alike), ())
    assert all(one.group is None for one in draw(line).rows)
