"""A log of a million lines in a browser: how long until the line that matters can be read."""

import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import msgspec

from ci_host.adapters.blobs.reading import ObstoreReader
from ci_host.adapters.nats import subjects
from pipelines.job import LogChunk, Outcome
from runners.blobs import Blobs
from runners.kept_logs import keep_log
from tests.bench.report import spread
from tests.web.browser import CHROMIUM, Browser, browser
from tests.web.served import Served, served
from tests.web.world import SECRETS, Story, World, job

LINES = 1_000_000
ROUNDS = 15


def viewed() -> None:
    """`log.open`: from the click to the failing line; `log.jump`: to any line, from the address;
    `log.search`: to the count of a text that is in every hundred-thousandth line."""
    if CHROMIUM is None:
        print('{"id": "log.open", "skipped": "there is no chromium"}')
        return
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        store = f"file://{folder}/blobs"
        world.app.state.services = replace(world.services, blobs=ObstoreReader(store))
        try:
            with served(world) as host, browser(Path(folder) / "profile") as page:
                story = host.do(_failed(world, Path(folder) / "log", store))
                page.look()
                page.set_cookie(host.url, "staunch_token", SECRETS["grace"])
                _measure(host, page, f"{host.url}/runs/{story.run}")
        finally:
            world.model.close()


async def _failed(world: World, path: Path, store: str) -> Story:
    story = await Story(world).begin()
    await story.turn(job("unit"))
    unit = story.claim("unit").job_id("unit")
    size = await asyncio.to_thread(_write, path)
    Path(store.removeprefix("file://")).mkdir()
    kept = await keep_log(path, unit, Blobs(store))
    mark = LogChunk(offset=size, size=0, at=world.clock(), text="", kept=kept)
    world.bus.put(subjects.log(unit), msgspec.json.encode(mark))
    return await story.finish("unit", Outcome.FAILED, log_bytes=size)


def _write(path: Path) -> int:
    with path.open("w") as file:
        file.write("=== make test\n")
        for n in range(2, LINES):
            broken = "error: it is not 4" if n == LINES - 1_000 else "and all of it is well so far"
            file.write(f"\x1b[3{n % 8}mline {n}\x1b[0m of many in src/cart_{n % 977}.c, {broken}\n")
        file.write("=== make test: exit code 2 (61.0 s)\n")
    return path.stat().st_size


def _measure(host: Served, page: Browser, url: str) -> None:
    opened, jumped, found = [], [], []
    for number in range(ROUNDS):
        page.open("about:blank")
        begun = time.perf_counter()
        page.open(url)
        page.until(_is_read(LINES - 1_000))
        opened.append((time.perf_counter() - begun) * 1_000)
        line = 1 + (number * 618_033 + 500_000) % LINES
        begun = time.perf_counter()
        page.evaluate(f"location.hash = '#L{line}', true")
        page.until(_is_read(line))
        jumped.append((time.perf_counter() - begun) * 1_000)
        page.evaluate("document.getElementById('log-search').focus(), true")
        begun = time.perf_counter()
        page.call("Input.insertText", text=f"LINE {number % 9 + 1}00000 ")
        page.until("document.getElementById('log-found').textContent.endsWith(' of 1')")
        found.append(time.perf_counter() - begun)
    assert page.complaints == []
    spread("log.open", "ms", opened, lines=LINES)
    spread("log.jump", "ms", jumped, lines=LINES)
    spread("log.search", "s", found, lines=LINES)


def _is_read(line: int) -> str:
    """Whether it is in the box, where it can be read."""
    return (
        "(r => r && (b => r.top >= b.top && r.bottom <= b.bottom)"
        "(document.getElementById('log-lines').getBoundingClientRect()))"
        f"(document.querySelector('#L{line}:not(.missing)')?.getBoundingClientRect()) === true"
    )
