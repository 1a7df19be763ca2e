import pytest

from ci_host.adapters.sql.tables import AttemptRow
from ci_host.api.log_tail import LINE_CHARS_MAX, WHOLE_BYTES_MAX, log_tail, plain_lines
from pipelines.ids import RunId, StepKey, job_id

pytestmark = pytest.mark.anyio

JOB = job_id(RunId("1-abc"), StepKey("unit"), 1)


async def check(world, log_bytes: int, lines_max: int = 3) -> list[str]:
    attempt = AttemptRow(
        job=JOB, run="1-abc", key="unit", attempt=1, state="failed", log_bytes=log_bytes
    )
    return await log_tail(world.services, attempt, lines_max)


async def test_the_tail_goes_over_the_borders_of_chunks(world):
    offset = world.write_log(JOB, "one\ntw")
    world.write_log(JOB, "o\nthree\nfour\n", offset=offset)
    assert await check(world, WHOLE_BYTES_MAX) == ["two", "three", "four"]


async def test_of_a_very_long_log_only_the_last_chunk_is_read(world):
    offset = world.write_log(JOB, "one\ntw")
    world.write_log(JOB, "o\nthree\n", offset=offset)
    assert await check(world, WHOLE_BYTES_MAX + 1) == ["o", "three"]


async def test_a_log_that_is_empty_has_no_tail(world):
    assert await check(world, 0) == []
    assert await check(world, WHOLE_BYTES_MAX + 1) == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a\n\nb", ["a", "", "b"]),
        ("\x1b[1;31mred\x1b[0m\n", ["red"]),
        ("10%\r50%\r100%\n", ["100%"]),
        ("windows\r\n", ["windows"]),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07\n", ["link"]),
        ("\x1b]0;title\x1b\\text\n", ["text"]),
        ("a\x00b\x07c\td\n", ["abc\td"]),
        ("x" * (LINE_CHARS_MAX + 1), ["x" * LINE_CHARS_MAX]),
    ],
)
def test_lines_are_plain(text, lines):
    assert plain_lines(text) == lines
