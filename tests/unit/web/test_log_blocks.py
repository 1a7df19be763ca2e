"""Any line of a log that is still on the bus is found, and what is before it is not read again."""

from types import SimpleNamespace
from typing import Any, cast

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.adapters.nats import subjects
from ci_host.api import log_places
from ci_host.api.job_logs import Reader
from ci_host.api.log_blocks import LINE_CHARS_MAX, blocks, extent, lines_of
from ci_host.api.log_places import LogPlaces, Newest
from pipelines.ids import JobId
from pipelines.job import LogChunk
from tests.web.stores import MemoryBus

JOB = JobId("0-abc.unit.1")
PARTS = st.lists(st.sampled_from(["a", "\n", "ä\n", "=== x", "\n\n", "line\nof"]), max_size=30)


class CountingBus(MemoryBus):
    """`given` counts the messages that were handed out."""

    given = 0

    async def page(self, stream: str, subject: str, after: int, at_most: int) -> Any:
        found, more = await super().page(stream, subject, after, at_most)
        self.given += len(found)
        return found, more


def host_with(texts: list[str], places: LogPlaces | None = None) -> Any:
    bus = CountingBus()
    here = SimpleNamespace(bus=bus, blobs=None, places=places or LogPlaces())
    for text in texts:
        write(here, text)
    return cast(Any, here)


def write(here: Any, text: str) -> None:
    offset = getattr(here, "written", 0)
    here.written = offset + len(text.encode())
    chunk = LogChunk(offset=offset, size=len(text.encode()), at=1.0, text=text)
    here.bus.put(subjects.log(JOB), msgspec.json.encode(chunk))


@given(PARTS, st.integers(1, 12))
def test_every_line_is_found_from_every_place(parts, place_bytes):
    async def check():
        here, text = host_with(parts), "".join(parts)
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        assert (await extent(here, JOB)).lines == len(lines)
        for number in range(len(lines) + 1):
            assert await lines_of(here, JOB, number, 3) == lines[number : number + 3]
        headings = (await extent(here, JOB)).headings
        wanted = [n for n, one in enumerate(text.split("\n")[:-1]) if one.startswith("=== ")]
        assert [one.line for one in headings] == wanted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_places, "PLACE_BYTES", place_bytes)
        anyio.run(check)


@pytest.mark.anyio
async def test_a_far_line_is_found_without_reading_the_log_again(monkeypatch):
    monkeypatch.setattr(log_places, "PLACE_BYTES", 1_000)
    here = host_with([f"line {n}\n" * 20 for n in range(1_000)])
    assert (await extent(here, JOB)).lines == 20_000
    for asked in (lambda: lines_of(here, JOB, 19_990, 5), lambda: extent(here, JOB)):
        before = here.bus.given
        await asked()
        assert here.bus.given - before < 30
    write(here, "more\n")
    assert (await extent(here, JOB)).lines == 20_001
    assert await lines_of(here, JOB, 20_000, 9) == ["more"]


@pytest.mark.anyio
async def test_a_follower_goes_on_where_it_was_without_reading_the_log_again(monkeypatch):
    monkeypatch.setattr(log_places, "PLACE_BYTES", 1_000)
    here = host_with([f"line {n}\n" * 20 for n in range(1_000)])
    offset = (await extent(here, JOB)).offset
    write(here, "more\n")
    reader = Reader(here, JOB, offset)
    assert reader._sequence > 900
    assert [one.text async for one in reader.more()] == ["more\n"]


@pytest.mark.anyio
async def test_a_line_without_an_end_is_cut_and_never_grows():
    here = host_with(["x" * 10_000] * 50 + ["\nend"])
    (line, end) = await lines_of(here, JOB, 0, 5)
    assert (len(line), end) == (LINE_CHARS_MAX, "end")
    # It is looked at as it came, and once.
    assert [one.line async for one in blocks(here, JOB, 1)][-1] == 1


def test_what_was_not_used_for_longest_is_forgotten():
    values: Newest[int] = Newest(2)
    values.put("a", 1)
    values.put("b", 2)
    assert values.get("a") == 1
    values.put("c", 3)
    assert [values.get(name) for name in "abc"] == [1, None, 3]
