"""`python -m tests.bench [id,id…] [--peers]`: measure, and print one JSON object a line."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.bench import (
    bench_alone,
    bench_cli,
    bench_installed,
    bench_intake,
    bench_job_start,
    bench_jobs,
    bench_log_viewer,
    bench_masking,
    bench_reading,
    bench_refs,
    bench_resume,
    bench_runners,
    bench_schedules,
)
from tests.bench.bench_installed import Bench
from tests.bench.peers import compare
from tests.demo.installation import Installation

PEERS = "--peers"
ALONE: dict[str, Callable[[], None]] = {
    "tenant.cold": bench_alone.tenant,
    "tenant.warm": bench_alone.tenant,
    "runner.lost": bench_runners.lost,
    "queue.claim": bench_jobs.small,
    "jobs.per_minute": bench_jobs.small,
    "artifact.up": bench_jobs.artifacts,
    "artifact.down": bench_jobs.artifacts,
    "job.start.process": bench_job_start.started,
    "job.start.bubblewrap": bench_job_start.started,
    "job.start.podman": bench_job_start.started,
    "job.start.services": bench_job_start.started,
    "log.masked.0": bench_masking.masked,
    "log.masked.5": bench_masking.masked,
    "log.masked.50": bench_masking.masked,
    "log.open": bench_log_viewer.viewed,
    "log.jump": bench_log_viewer.viewed,
    "log.search": bench_log_viewer.viewed,
    "reconcile.cost": bench_refs.cost,
    "cli.start": bench_cli.start,
    "cli.lint": bench_cli.lint,
    "cli.run_start": bench_cli.run_start,
}
INSTALLED: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "idle.memory": bench_installed.idle,
    "api.read.list": bench_reading.read,
    "api.read.run": bench_reading.read,
    "intake.accept": bench_installed.intake,
    "intake.rate": bench_intake.flood,
    "intake.accept.flood": bench_intake.flood,
    "intake.seen_to": bench_intake.flood,
    "push.first_command": bench_installed.push,
    "push.pending_status": bench_intake.pending,
    "run.create_complete": bench_installed.create_complete,
    "run.create_complete.bus": bench_installed.on_the_bus,
    "step.do.100": bench_installed.steps,
    "step.do.1000": bench_installed.steps,
    "step.do.100x10": bench_installed.steps,
    "step.do.50x20": bench_installed.side_by_side,
    "step.effect.50x20": bench_installed.side_by_side,
    "signal.resume": bench_installed.signal,
    "log.throughput": bench_installed.logs,
    "tenant.start": bench_resume.tenants,
    "resume.events.10000": bench_resume.histories,
    "resume.steps.500": bench_resume.histories,
    "restart.resume": bench_installed.restart,
    "restart.resume.1000": bench_installed.restart_many,
    "schedules.start": bench_schedules.start,
    "parked.ram": bench_installed.parked,
    "parked.disk": bench_installed.parked,
}
# They take longer than all others together.
ONLY_BY_ID: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "parked.many": bench_resume.many_parked,
}


def main() -> int:
    """Answers the exit code."""
    with_peers = PEERS in sys.argv
    wanted = [text for text in sys.argv[1:] if text != PEERS]
    names = [name for text in wanted for name in text.split(",") if name]
    installed = INSTALLED | (ONLY_BY_ID if names else {})
    unknown = set(names) - {"disk.fdatasync", *ALONE, *installed}
    if unknown:
        known = ", ".join(["disk.fdatasync", *ALONE, *installed])
        print(f"no such figure: {', '.join(sorted(unknown))}; there is: {known}", file=sys.stderr)
        return 2
    bench_alone.disk()
    for action in dict.fromkeys(ALONE[n] for n in ALONE if not names or n in names):
        action()
    chosen = list(dict.fromkeys(installed[n] for n in installed if not names or n in names))
    if chosen:
        measure_installed(chosen)
    bench_alone.disk()
    if with_peers:
        compare.measure()
        bench_alone.disk()
    return 0


def measure_installed(actions: list[Callable[[Bench], Awaitable[None]]]) -> None:
    """One installation for all of them."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-bench-"))
    folder.chmod(0o711)
    stamps = folder / "stamps"
    stamps.mkdir()
    stamps.chmod(0o777)
    installation = Installation(folder, "--volume", f"stamps={stamps}")
    try:
        installation.start()
        asyncio.run(_measure(installation, folder, actions))
    finally:
        installation.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(
    installation: Installation, folder: Path, actions: list[Callable[[Bench], Awaitable[None]]]
) -> None:
    bench = Bench(installation, folder)
    await bench.open()
    try:
        for action in actions:
            await action(bench)
            await bench.caught_up()
    finally:
        await bench.http.aclose()
        await bench.bus.close()


if __name__ == "__main__":
    sys.exit(main())
