"""What needs no installation: the disk, and the sandbox by itself."""

import os
import tempfile
import time
from pathlib import Path

import msgspec

from ci_host.adapters.wasm.instance import WasmImage
from ci_host.cli.up import default_cache
from ci_host.tenant.host import TenantHost
from ci_host.tenant.limits import Limits
from ci_host.tenant.sandbox import TimedInput, TurnInputs
from pipelines.bundle import Bundle, Prepared
from pipelines.event import Event, EventKind
from pipelines.events import RunStarted, SignalSent
from pipelines.job import Source
from tests.bench import plans, report

FILE = ".staunch/pipeline.py"
COMMIT = "a" * 40


def disk() -> None:
    """Append 4 KB and fdatasync, one after another: the limit under everything."""
    samples = []
    with tempfile.NamedTemporaryFile(dir=Path.cwd()) as file:
        block = os.urandom(4096)
        for _ in range(1000):
            began = time.perf_counter()
            file.write(block)
            file.flush()
            os.fdatasync(file.fileno())
            samples.append((time.perf_counter() - began) * 1e6)
    report.spread("disk.fdatasync", "us", samples, bytes=4096)


def started(run: str, file: str = FILE) -> RunStarted:
    """The first input of a Run."""
    return RunStarted(
        run=run,
        repo="git/1",
        repo_name="bench/app",
        connection="git",
        pipeline="pipeline",
        file=file,
        bundle="0" * 64,
        source=Source(mirror="/nowhere", commit=COMMIT),
        event=Event(kind=EventKind.PUSH, ref="refs/heads/main", commit=COMMIT),
    )


def tenant() -> None:
    """From stored prepared bytes to the first commands, and the next input of a loaded Tenant."""
    cache = Path(os.environ.get("STAUNCH_CACHE_DIR", default_cache()))
    # What an engine loads in advance for code that it knows would be loaded already.
    limits = Limits(blanks=8, primed=0)
    image = WasmImage(cache, limits, lambda _: None)
    sandbox = TenantHost(image, limits)
    stored = msgspec.json.encode(sandbox.prepare(Bundle(files={FILE: plans.REALISTIC})))
    cold, warm = [], []
    for number in range(120):
        for _ in range(limits.blanks):
            sandbox.refill()
        began = time.perf_counter()
        prepared = msgspec.json.decode(stored, type=Prepared)
        tenant = sandbox.load(prepared, FILE, run=f"0-{number}", seed=str(number), at=1e9)
        first = TurnInputs([TimedInput(1, 1e9, started(f"0-{number}"))])
        outcome = tenant.advance([first])[0]
        cold.append((time.perf_counter() - began) * 1e3)
        assert len(outcome.commands) == 7, outcome
        began = time.perf_counter()
        tenant.advance([TurnInputs([TimedInput(2, 1e9, SignalSent(id="s", name="s"))])])
        warm.append((time.perf_counter() - began) * 1e3)
        tenant.close()
    sandbox.close()
    image.close()
    report.spread("tenant.cold", "ms", cold[20:], pipeline_lines=115, boot="pool of blanks")
    report.spread("tenant.warm", "ms", warm[20:], pipeline_lines=115)
