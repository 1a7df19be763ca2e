"""Which part of a run's time is drawn, and which parts are a step away."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ci_host.web.drawing import draw
from ci_host.web.time_scale import Window, scale_of
from ci_host.web.timeline import Phase, Row, Segment, Timeline
from ci_host.web.zoom import around, window_of, zoom_of

WEEK_S = 604_800.0


def line_of(*segments: tuple[Phase, float, float]) -> Timeline:
    rows = tuple(
        Row(f"s{number}", "job", "succeeded", (Segment(phase, begin, until),))
        for number, (phase, begin, until) in enumerate(segments)
    )
    return Timeline(0.0, max(until for _, _, until in segments), False, rows, ())


MINUTE = line_of((Phase.RUNNING, 0, 60), (Phase.RUNNING, 20, 40))
WAITED = line_of(
    (Phase.RUNNING, 0, 60), (Phase.GATE, 60, WEEK_S), (Phase.RUNNING, WEEK_S, WEEK_S + 60)
)


def test_a_step_in_shows_the_half_in_the_middle_and_a_step_out_what_was_before():
    inner = zoom_of(MINUTE, None).into
    assert inner == Window(15, 45)
    there = zoom_of(MINUTE, inner)
    assert there.into == Window(22.5, 37.5)
    assert there.out is None
    assert (there.earlier, there.later) == (Window(0, 30), Window(30, 60))


def test_there_is_no_step_beyond_the_ends():
    assert zoom_of(MINUTE, None).earlier is zoom_of(MINUTE, None).later is None
    assert zoom_of(MINUTE, Window(0, 30)).earlier is None
    assert zoom_of(MINUTE, Window(30, 60)).later is None
    assert zoom_of(MINUTE, Window(10, 10.09)).into is None


def test_half_of_what_is_seen_is_shown_where_a_week_of_waiting_is_folded():
    inner = zoom_of(WAITED, None).into
    assert inner is not None and 0 < inner.begin < 60 and WEEK_S < inner.end < WEEK_S + 60


def test_a_row_with_nothing_in_the_window_is_left_out_and_counted():
    drawing = draw(MINUTE, Window(45, 60))
    assert [one.row.key for one in drawing.rows] == ["s0"] and drawing.outside == 1
    assert drawing.rows[0].bars[0].width == 100


def test_the_axis_of_a_window_says_first_where_it_begins():
    labels = [tick.label for tick in draw(MINUTE, Window(30, 40)).ticks]
    assert labels[:3] == ["30s", "+1.0s", "+2.0s"]


def test_a_step_alone_is_shown_with_a_margin():
    assert around(MINUTE.rows[1], MINUTE) == Window(19.2, 40.8)
    assert around(MINUTE.rows[0], MINUTE) is None, "that is all of it"
    assert around(Row("s", "do", "succeeded", ()), MINUTE) is None


@pytest.mark.parametrize(
    "asked", [(None, 3.0), (3.0, None), (5, 5.04), (9, 3), (0, 60), (0, 1e300)]
)
def test_nonsense_and_the_whole_are_no_window(asked):
    assert window_of(MINUTE, *asked) is None


TIMES = st.floats(0, 1e6, allow_nan=False)


@example([(Phase.GATE, 1.7675136853358708, 524290.6935350721)], 0.0, 2.0)
@given(st.lists(st.tuples(st.sampled_from(list(Phase)), TIMES, TIMES), min_size=1, max_size=6),
       TIMES, TIMES)  # fmt: skip
def test_every_step_leads_to_a_part_of_the_run_that_can_be_drawn(segments, after, until):
    line = line_of(*((phase, min(a, b), max(a, b)) for phase, a, b in segments))
    assume(line.end > 0)
    shown = window_of(line, after, until)
    zoom = zoom_of(line, shown)
    for window in (shown, zoom.into, zoom.out, zoom.earlier, zoom.later):
        if window is not None:
            assert line.begin <= window.begin < window.end <= line.end
            scale = scale_of(line, window)
            assert (scale.pieces[0].begin, scale.pieces[-1].end) == (window.begin, window.end)
            for bars in (row.bars for row in draw(line, window).rows):
                assert all(0 <= bar.x <= 100 and bar.x + bar.width <= 100.01 for bar in bars)
