"""Two attempts of a job beside each other: what is matched, folded, and how much of it is read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_host.adapters.sql.tables import AttemptRow
from ci_host.web.attempts_beside import BEHIND_FAILURE, FOLDED_FROM, LINES_MAX, Side, compared
from pipelines.job import Outcome
from tests.web import shapes
from tests.web.visitor import check
from tests.web.world import Story, job

FLAKY = "test/python%3D3.12%2Cos%3Dalpine"


def side(lines, attempt=1, first=1):
    row = AttemptRow(job="j", run="r", key="unit", attempt=attempt, state="failed")
    return Side(row, lines, first, first + len(lines) - 1, None)


def both(left, right):
    return compared(side(left), side(right, 2))


def test_what_both_say_is_one_stretch_and_is_folded_where_it_is_long():
    same = [f"line {'x' * n}" for n in range(FOLDED_FROM)]
    found = both([*same, "green"], [*same, "red"])
    assert [(one.is_same, one.is_folded, len(one.left)) for one in found] == [
        (True, True, FOLDED_FROM),
        (False, False, 1),
    ]
    assert (found[1].left, found[1].right) == ([(7, "green")], [(7, "red")])


def test_lines_that_differ_in_numbers_alone_stand_beside_each_other():
    (found,) = both(["took 31.02s"], ["took 9.1s"])
    assert (found.is_same, found.left, found.right) == (
        False, [(1, "took 31.02s")], [(1, "took 9.1s")],
    )  # fmt: skip


def test_a_line_that_one_alone_has_stands_beside_a_gap():
    found = both(["a", "only here", "b"], ["a", "b"])
    assert [(one.left, one.right) for one in found if not one.is_same] == [([(2, "only here")], [])]


@given(*(st.lists(st.text("ab1 2", max_size=3), max_size=30) for _ in range(2)))
@settings(max_examples=150, deadline=None)
def test_every_line_of_both_is_there_once_in_its_order(left, right):
    found = both(left, right)
    assert [text for one in found for _, text in one.left] == left
    assert [text for one in found for _, text in one.right] == right
    assert all(
        [a[1] for a in one.left] == [b[1] for b in one.right] for one in found if one.is_same
    )
    assert all(one.left or one.right for one in found)


@pytest.mark.anyio
async def test_an_address_puts_two_attempts_beside_each_other_the_earlier_on_the_left(world):
    story = await shapes.release(world, 1, breaks=True)
    page = f"/runs/{story.run}?job={FLAKY}"
    for query in ("&attempt=2&beside=1", "&attempt=1&beside=2"):
        text = (await check(world, page + query)).text
        assert text.index("Attempt 1</strong>") < text.index("Attempt 2</strong>")
        assert "TimeoutError: no answer" in text and "121 passed" in text
        assert "lines that both have" in text and "/static/log.js" not in text
    assert "attempt=2&amp;beside=1#log" in (await check(world, page)).text


@pytest.mark.anyio
@pytest.mark.parametrize("query", ["&attempt=2&beside=2", "&attempt=2&beside=7", "&beside=0"])
async def test_what_cannot_be_put_beside_is_left_out_of_account(world, query):
    story = await shapes.release(world, 1)
    text = (await check(world, f"/runs/{story.run}?job={FLAKY}{query}")).text
    assert "/static/log.js" in text and 'class="beside"' not in text
    assert (await check(world, f"/runs/{story.run}?beside=-1")).status_code == 422


@pytest.mark.anyio
async def test_of_long_logs_the_part_is_compared_in_which_it_failed(world):
    story = await Story(world, 8).begin()
    for attempt in (1, 2):
        await story.turn(job("unit", attempt))
        story.claim("unit", attempt)
        lines = [f"line {n} <b>\n" for n in range(1, 3_000)]
        lines[1_999] = "src/a.c:1:1: error: it is not 4\n"
        world.write_log(story.job_id("unit", attempt), "".join(lines))
        await story.finish("unit", Outcome.FAILED, attempt=attempt, log_bytes=40_000)
    text = (await check(world, f"/runs/{story.run}?job=unit&attempt=2&beside=1")).text
    last = 2_000 + BEHIND_FAILURE
    assert f"lines {last - LINES_MAX + 1:,} to {last:,} of 2,999" in text
    assert text.count('class="both failing"') == 2
    assert "Both say the same." in text
    assert "<b>" not in text and len(text) < 500_000
