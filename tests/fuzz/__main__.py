"""`make fuzz FOR=60 FORGE=gitlab`: every forge's parsers under atheris, for so many seconds each.

atheris is 35 MB that nothing else needs, so it is installed beside the venv, the first time.
`--runs`, as `make check` asks for it: so many inputs, the same each time, and none where atheris
cannot be had.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from pipelines.repo import ForgeKind

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".fuzz"
REQUIREMENTS = Path(__file__).with_name("atheris.txt")
# libFuzzer's own limits of one input: longer ones choose more changes than anybody needs.
BYTES_MAX = 600


def main() -> int:
    """The exit code: that of the first forge in whose parsers something was found."""
    asked = argparse.ArgumentParser(prog="make fuzz")
    asked.add_argument("--for", type=int, dest="seconds", default=60)
    asked.add_argument("--runs", type=int, default=0)
    asked.add_argument("--forge", choices=[str(kind) for kind in ForgeKind])
    wish = asked.parse_args()
    try:
        there = _installed()
    except subprocess.CalledProcessError as error:
        if not wish.runs:
            raise
        print(f"atheris cannot be installed ({error}); the parsers are not fuzzed by coverage")
        return 0
    for kind in [wish.forge] if wish.forge else list(ForgeKind):
        print(f"{kind}: {f'{wish.runs} inputs' if wish.runs else f'{wish.seconds} s'}", flush=True)
        if code := _fuzz(str(kind), wish.seconds, wish.runs, there):
            print(f"{kind}: found something; the input is in {FOLDER / str(kind)}")
            return code
    return 0


def _installed() -> Path:
    there = FOLDER / "atheris"
    if not (there / "atheris").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        exact = ["--no-deps", "--require-hashes", "--target", str(there), "-r", str(REQUIREMENTS)]
        subprocess.run([*pip, *exact], check=True)
    return there


def _fuzz(kind: str, seconds: int, runs: int, there: Path) -> int:
    # What reached new code is kept there, and gone on from the next time.
    corpus = FOLDER / kind
    corpus.mkdir(parents=True, exist_ok=True)
    options = [f"-max_len={BYTES_MAX}", f"-artifact_prefix={corpus}/"]
    if runs:
        options += [f"-runs={runs}", "-seed=1", "-verbosity=0"]
    else:
        options += [f"-max_total_time={seconds}", "-print_final_stats=1", "-verbosity=0"]
        options.append(str(corpus))
    paths = [str(there), str(ROOT), str(ROOT / "pipelines/sdk")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "tests.fuzz.guided", kind, *options]
    # Of a check nobody wants to read what was instrumented, unless something was found.
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=bool(runs))
    if done.returncode and runs:
        sys.stderr.buffer.write(done.stdout + done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
