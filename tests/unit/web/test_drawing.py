from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.web.drawing import ALL, Drawing, draw
from ci_host.web.time_scale import FOLD_S_MIN, scale_of
from ci_host.web.timeline import Mark, Phase, Row, Segment, Timeline


def line_of(*segments: tuple[Phase, float, float], marks=(), end=None) -> Timeline:
    rows = tuple(
        Row(f"s{number}", "job", "succeeded", (Segment(phase, begin, until),))
        for number, (phase, begin, until) in enumerate(segments)
    )
    last = max((until for _, _, until in segments), default=0.0)
    return Timeline(0.0, last if end is None else end, False, rows, tuple(marks))


def check(*segments: tuple[Phase, float, float], **facts) -> Drawing:
    return draw(line_of(*segments, **facts))


def test_work_alone_is_drawn_to_scale():
    drawing = check((Phase.RUNNING, 0, 25), (Phase.RUNNING, 25, 100))
    assert [(row.bars[0].x, row.bars[0].width) for row in drawing.rows] == [(0, 25), (25, 75)]
    assert not drawing.folds


def test_a_week_at_a_gate_leaves_most_of_the_width_to_a_minute_of_work():
    drawing = check(
        (Phase.RUNNING, 0, 60), (Phase.GATE, 60, 604_860), (Phase.RUNNING, 604_860, 604_920)
    )
    first, gate, last = (row.bars[0] for row in drawing.rows)
    assert first.width == last.width == pytest.approx(44)
    assert gate.width == pytest.approx(12)
    assert [(fold.begin, fold.end) for fold in drawing.folds] == [(60, 604_860)]


def test_a_wait_while_something_runs_is_never_folded():
    assert not check((Phase.RUNNING, 0, 1_000), (Phase.GATE, 1, 999)).folds


@pytest.mark.parametrize("worked_s", [0.0, 1e-308, 0.0009])
def test_a_run_that_only_waits_is_drawn_plainly(worked_s):
    assert not check((Phase.RUNNING, 0, worked_s), (Phase.GATE, worked_s, 1_000_000)).folds


@pytest.mark.parametrize(("length", "folds"), [(FOLD_S_MIN, 0), (FOLD_S_MIN + 0.1, 1)])
def test_a_wait_is_folded_from_a_limit_on(length, folds):
    drawing = check((Phase.RUNNING, 0, 1), (Phase.SLEEPING, 1, 1 + length))
    assert len(drawing.folds) == folds


def test_many_waits_leave_room_for_the_work():
    segments = []
    for number in range(300):
        segments += [(Phase.RUNNING, number * 1001, number * 1001 + 1),
                     (Phase.SLEEPING, number * 1001 + 1, (number + 1) * 1001)]  # fmt: skip
    drawing = draw(line_of(*segments), opened=(ALL,))
    work = sum(row.bars[0].width for row in drawing.rows[1::2])
    assert len(drawing.folds) == 300 and work == pytest.approx(65, abs=1)


def test_a_moment_is_drawn_as_a_mark_of_its_own():
    drawing = check((Phase.RUNNING, 5, 5), (Phase.RUNNING, 0, 100))
    assert drawing.rows[0].bars[0].is_short and not drawing.rows[1].bars[0].is_short


def test_marks_stand_where_their_time_is():
    assert (
        check((Phase.RUNNING, 0, 10), marks=[Mark(5, "host restarted", "restart")]).marks[0][0]
        == 50
    )


def test_a_run_without_any_length_can_be_drawn():
    assert check((Phase.RUNNING, 0, 0)).rows[0].bars[0].x == 0
    assert check().rows == ()


SEGMENTS = st.lists(
    st.tuples(
        st.sampled_from(list(Phase)),
        st.floats(0, 1e6, allow_nan=False),
        st.floats(0, 1e6, allow_nan=False),
    ).map(lambda s: (s[0], min(s[1:]), max(s[1:]))),
    max_size=8,
)


@given(SEGMENTS, st.floats(0, 1e6), st.lists(st.floats(0, 1e6), max_size=20))
def test_the_axis_is_whole_and_never_goes_back(segments, more, times):
    line = line_of(*segments)
    line = Timeline(0.0, line.end + more, False, line.rows, ())
    scale = scale_of(line)
    assert scale.pieces[0].begin == line.begin and scale.pieces[-1].end == line.end
    for one, following in pairwise(scale.pieces):
        assert one.end == following.begin
        assert one.x + one.width == pytest.approx(following.x, abs=1e-6)
    places = [scale.x(at) for at in sorted(times)]
    assert places == sorted(places) and all(0 <= x <= 100.01 for x in places)


@given(SEGMENTS)
def test_ticks_are_apart_and_in_order(segments):
    ticks = check(*segments).ticks
    assert all(following.x - one.x >= 5 for one, following in pairwise(ticks))
    assert not ticks or ticks[0].label == "0" or ticks[0].x > 0


def test_a_short_wait_breaks_no_axis():
    segments = [(Phase.RUNNING, 0, 20), (Phase.BACKING_OFF, 20, 30), (Phase.RUNNING, 30, 60),
                (Phase.GATE, 60, 604_860)]  # fmt: skip
    assert [piece.folded for piece in scale_of(line_of(*segments)).pieces] == [False, True]


def test_behind_a_fold_time_is_counted_from_its_end():
    week = 604_860
    drawing = check(
        (Phase.RUNNING, 0, 60), (Phase.GATE, 60, week), (Phase.RUNNING, week, week + 60)
    )
    labels = [tick.label for tick in drawing.ticks]
    assert labels[:2] == ["0", "15s"] and "+30s" in labels
