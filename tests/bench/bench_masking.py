"""Masking: how fast a job's log is written while secrets are looked for in it."""

import asyncio
import base64
import hashlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from runners.executors.process import Process
from tests.bench import report
from tests.executor_bench import UID_BASE, Bench
from tests.runner_world import make_spec

LOG_BYTES = 200_000_000
ROUNDS = 5
COUNTS = (0, 5, 50)
LINE = "01:02:03 INFO tests/unit/test_things.py::test_number_%07d PASSED [%3d%%] 0.%03ds\n"


def masked() -> None:
    """The same log through a pipe to a file, and through a shim with some secrets; in turns."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-masking-"))
    folder.chmod(0o755)
    try:
        samples = asyncio.run(_measured(folder))
    finally:
        shutil.rmtree(folder)
    for count in COUNTS:
        report.spread(f"log.masked.{count}", "MB/s", samples[count], plain=samples[-1][0])


async def _measured(folder: Path) -> dict[int, list[float]]:
    text = folder / "text"
    lines = (LINE % (number, number % 100, number % 1000) for number in range(10**9))
    size = 0
    with text.open("w") as file:
        while size < LOG_BYTES:
            size += file.write(next(lines))
    text.chmod(0o644)
    bench = Bench(folder, Process(uid_base=UID_BASE, volumes={}))
    samples: dict[int, list[float]] = {count: [] for count in (-1, *COUNTS)}
    for turn in range(ROUNDS):
        samples[-1].append(_plain(folder, size))
        for count in COUNTS:
            samples[count].append(await _through_shim(bench, text, size, count, turn))
    samples[-1] = [round(sorted(samples[-1])[ROUNDS // 2], 1)]
    return samples


def _plain(folder: Path, size: int) -> float:
    began = time.monotonic()
    command = f"cat {folder}/text | cat > {folder}/copy && sync {folder}/copy"
    subprocess.run(["/bin/sh", "-c", command], check=True)
    return size / 1e6 / (time.monotonic() - began)


async def _through_shim(bench: Bench, text: Path, size: int, count: int, turn: int) -> float:
    secrets = {f"S{number}": _secret(number) for number in range(count)}
    named = dict.fromkeys(secrets, "ANY")
    spec = make_spec(None, f"cat {text}", key=f"n{count}-{turn}", secrets=named)
    directory = await bench.start(spec, secrets=secrets)
    record = await bench.end(directory)
    assert record["outcome"] == "succeeded", record
    assert record["log_bytes"] > size
    shutil.rmtree(directory)
    return size / 1e6 / (record["finished_at"] - record["started_at"])


def _secret(number: int) -> str:
    digest = hashlib.sha256(b"%d" % number).digest()
    return base64.b64encode(digest).decode() if number % 2 else digest.hex()
