"""Reading: the API under readers who do not wait for each other."""

import asyncio
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench import plans, report
from tests.bench.bench_installed import Bench

A_SECOND = 200
FOR_S, WARM_UP_S = 8.0, 2.0
CONNECTIONS = 16
RUNS = 200
# How often a run begins, where runs do.
EACH_S = 0.5


async def read(bench: Bench) -> None:
    """GET of the list of runs and of one run, each second so many, whatever has been answered:
    while nothing happens, and while runs begin and end."""
    runs = await bench.create(plans.ONE_DO, RUNS)
    for run in runs:
        await bench.over(run)
    await bench.caught_up()
    await _read(bench, runs, "")
    moving = asyncio.create_task(_move(bench))
    try:
        await _read(bench, runs, ".moving", begun_a_second=1 / EACH_S)
    finally:
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)


async def _move(bench: Bench) -> None:
    """Every answer that was made before is of an older state each time."""
    while True:
        for run in await bench.create(plans.ONE_DO, 1):
            await bench.over(run)
        await asyncio.sleep(EACH_S)


async def _read(bench: Bench, runs: list[str], what: str, **settings: float) -> None:
    """A sample is from when a request was due until its answer: one that waits for others is
    late."""
    assert bench.state is not None
    place = urlsplit(bench.state.url)
    key = bench.http.headers["authorization"]
    paths = ["/api/v1/runs", *(f"/api/v1/runs/{run}" for run in runs)]
    readers: asyncio.Queue[_Reader] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        readers.put_nowait(await _Reader.open(str(place.hostname), int(place.port or 0), key))
    lists: list[float] = []
    ones: list[float] = []
    spent = _cpu_s(bench)
    began = time.perf_counter() + 0.1
    async with asyncio.TaskGroup() as group:
        for number in range(int(A_SECOND * FOR_S)):
            due = began + number / A_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            # Every other one is of the list, as of somebody who looks and then opens one.
            path = paths[0] if number % 2 else paths[1 + number // 2 % RUNS]
            kept = lists if number % 2 else ones
            group.create_task(_timed(readers, path, due, kept))
    warm_up = int(A_SECOND * WARM_UP_S / 2)
    each_ms = round((_cpu_s(bench) - spent) * 1e3 / (A_SECOND * FOR_S), 2)
    said = {"a_second": A_SECOND, "runs": RUNS, "host_cpu_ms": each_ms, **settings}
    report.spread(f"api.read.list{what}", "ms", lists[warm_up:], **said)
    report.spread(f"api.read.run{what}", "ms", ones[warm_up:], **said)


def _cpu_s(bench: Bench) -> float:
    """What the host's process has had of a processor so far."""
    assert bench.state is not None
    fields = (
        Path(f"/proc/{bench.state.processes['host']}/stat").read_text().rpartition(")")[2].split()
    )
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _timed(
    readers: "asyncio.Queue[_Reader]", path: str, due: float, kept: list[float]
) -> None:
    reader = await readers.get()
    await reader.get(path)
    kept.append((time.perf_counter() - due) * 1e3)
    readers.put_nowait(reader)


class _Reader:
    """One connection that is kept."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str
    ) -> None:
        self._reader, self._writer, self._key = reader, writer, key

    @classmethod
    async def open(cls, host: str, port: int, key: str) -> "_Reader":
        """Connect."""
        return cls(*await asyncio.open_connection(host, port), key)

    async def get(self, path: str) -> None:
        """The whole answer, which must be one."""
        head = f"GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: {self._key}\r\n\r\n"
        self._writer.write(head.encode())
        told = await self._reader.readuntil(b"\r\n\r\n")
        assert told.startswith(b"HTTP/1.1 200"), told
        length = int(told.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await self._reader.readexactly(length)
