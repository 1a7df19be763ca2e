"""The command line: how long somebody, or an editor, waits for it."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import plans, report
from tests.repos import Repo

TIMES = 20
RUN_TIMES = 8
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


def run_start() -> None:
    """`staunch run` of a pipeline of one job, from the start of the process to the first command
    of that job, by the job's own clock; the guest image is built."""
    with tempfile.TemporaryDirectory() as folder:
        # Jobs run as users of their own, who must be able to reach what is theirs.
        Path(folder).chmod(0o711)
        repo = Repo(Path(folder))
        repo.commit({".staunch/pipeline.py": plans.ONE_JOB_CLOCK})
        samples = []
        for number in range(WARM_UPS + RUN_TIMES):
            began = time.time()
            done = subprocess.run(
                [STAUNCH, "run", str(repo.work), "--json"], check=True, capture_output=True
            )
            if number >= WARM_UPS:
                samples.append(float(json.loads(done.stdout)["output"]) - began)
        report.spread("cli.run_start", "s", samples)


def _times(*words: str) -> list[float]:
    """Milliseconds from the start of the process to its end; warm-ups are left out."""
    samples = []
    for number in range(WARM_UPS + TIMES):
        began = time.perf_counter()
        subprocess.run([STAUNCH, *words], check=True, capture_output=True)
        if number >= WARM_UPS:
            samples.append((time.perf_counter() - began) * 1000)
    return samples
