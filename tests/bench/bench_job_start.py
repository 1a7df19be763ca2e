"""How soon the first command of a job runs, by executor, beside the same command by itself."""

import asyncio
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from pipelines.job import JobSpec
from runners import spawn, workspace
from runners.executors.bubblewrap import Bubblewrap, find_bwrap
from runners.executors.podman import Podman, find_podman
from runners.executors.process import Process
from runners.launcher import Zygote
from runners.ports import Launch
from tests import service_images
from tests.bench import report
from tests.executor_bench import CONFINED, PODMAN_WORKS, UID_BASE, Bench
from tests.runner_world import make_spec

ROUNDS = 100
# The first thing that the job does is to say the time: all ways pay for this program alike.
COMMAND = "date +%s%N"
SAID = re.compile(rb"^(\d{19})$", re.MULTILINE)


def started() -> None:
    """Every way once in each round, so that a slow moment of the machine hits all of them."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-job-start-"))
    folder.chmod(0o755)
    try:
        with asyncio.Runner() as loop:
            _measure(folder, loop)
    finally:
        shutil.rmtree(folder)


def _measure(folder: Path, loop: asyncio.Runner) -> None:
    bwrap = find_bwrap() if CONFINED else None
    executors = {"process": Process(uid_base=UID_BASE, volumes={})}
    if bwrap is None:
        print("job.start.bubblewrap: no sandbox can be made here", file=sys.stderr)
    else:
        executors["bubblewrap"] = Bubblewrap(bwrap, uid_base=UID_BASE, volumes={})
    if PODMAN_WORKS:
        executors["podman"] = Podman(find_podman() or "", uid_base=UID_BASE, volumes={})
    zygote = Zygote()
    zygote.start()
    benches = {}
    for name, executor in executors.items():
        (folder / name).mkdir(mode=0o755)
        benches[name] = Bench(folder / name, executor)
    bare: list[float] = []
    jobs: dict[str, list[float]] = {name: [] for name in benches}
    alone: dict[str, list[float]] = {name: [] for name in benches}
    served: list[float] = []
    cold: dict[str, list[float]] = {name: [] for name in benches}
    for turn in range(ROUNDS):
        bare.append(_bare())
        for name, bench in benches.items():
            alone[name].append(_without_shim(bench, make_spec(None, COMMAND, key=f"alone-{turn}")))
            bench.zygote = None
            cold[name].append(_job(loop, bench, make_spec(None, COMMAND, key=f"cold-{turn}")))
            bench.zygote = zygote
            jobs[name].append(_job(loop, bench, make_spec(None, COMMAND, key=f"job-{turn}")))
        if "bubblewrap" in benches and service_images.IS_THERE:
            spec = make_spec(None, COMMAND, key=f"served-{turn}", services=[service_images.STORE])
            served.append(_job(loop, benches["bubblewrap"], spec))
    zygote.close()
    if served:
        report.spread("job.start.services", "ms", served, bubblewrap=_middle(jobs["bubblewrap"]))
    for name in benches:
        beside = {"subprocess": _middle(bare), "without_shim": _middle(alone[name])}
        beside["without_zygote"] = _middle(cold[name])
        report.spread(f"job.start.{name}", "ms", jobs[name], **beside)


def _bare() -> float:
    began = time.time_ns()
    words = ["/bin/sh", "-c", COMMAND]
    return _since(began, subprocess.run(words, check=True, capture_output=True).stdout)


def _job(loop: asyncio.Runner, bench: Bench, spec: JobSpec) -> float:
    """As an agent does it from the claim on: plan, lay out the directory, start the shim."""
    began = time.time_ns()
    directory = loop.run(_run(bench, spec))
    took = _since(began, (directory / "log").read_bytes())
    workspace.remove(directory)
    return took


async def _run(bench: Bench, spec: JobSpec) -> Path:
    directory = await bench.start(spec)
    record = await bench.end(directory)
    assert record["outcome"] == "succeeded", record
    return directory


def _without_shim(bench: Bench, spec: JobSpec) -> float:
    """The same sandbox and driver in a directory that is there already, started by this process."""
    directory = bench.root / "jobs" / spec.id
    launch: Launch = bench.executor.plan(spec, directory, 0)
    note = workspace.DeliveryNote(slot=0, token="")
    workspace.create(directory, spec=spec, launch=launch, note=note)
    words = msgspec.to_builtins(launch)
    began = time.time_ns()
    child = spawn.spawn(words)
    assert _all_of(child.answers, b"\n") == b"ready\n"
    child.order(0)
    _all_of(child.answers, b"\n")
    child.close_orders()
    child.wait()
    took = _since(began, os.read(child.output, 4096))
    for descriptor in (child.answers, child.output):
        os.close(descriptor)
    child.find_init()
    workspace.remove(directory)
    return took


def _all_of(descriptor: int, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        more = os.read(descriptor, 4096)
        assert more, data
        data += more
    return data


def _since(began: int, output: bytes) -> float:
    """Milliseconds until the command said the time."""
    found = SAID.search(output)
    assert found is not None, output
    return (int(found[1]) - began) / 1e6


def _middle(samples: list[float]) -> float:
    return round(statistics.median(samples), 2)
