"""The command line: how long somebody, or an editor, waits for it."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import plans, report

TIMES = 20
WARM_UPS = 2
STAUNCH = str(Path(sys.executable).with_name("staunch"))


def start() -> None:
    """`staunch --version`, whole."""
    report.spread("cli.start", "ms", _times("--version"))


def lint() -> None:
    """`staunch lint` of a pipeline of about 115 lines, whole."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".staunch" / "pipeline.py"
        path.parent.mkdir()
        path.write_text(plans.REALISTIC)
        lines = plans.REALISTIC.count("\n")
        report.spread("cli.lint", "ms", _times("lint", folder), lines=lines)


def _times(*words: str) -> list[float]:
    """Milliseconds from the start of the process to its end; warm-ups are left out."""
    samples = []
    for number in range(WARM_UPS + TIMES):
        began = time.perf_counter()
        subprocess.run([STAUNCH, *words], check=True, capture_output=True)
        if number >= WARM_UPS:
            samples.append((time.perf_counter() - began) * 1000)
    return samples
