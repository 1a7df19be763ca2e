"""Pypi: a package's source archive, brought by pip, the registry's ordinary client.

pip asks what is in an archive by its build backend: the one that is pinned for this project builds
that package too, and so nothing else is fetched or run.
"""

import sys
from pathlib import Path

from tests.published.npm import Unreachable, called
from tests.published.packages import Package

REQUIREMENTS = Path(__file__).with_name("forgejo.txt")


def download(package: Package, folder: Path) -> Path:
    """The package's archive, as the registry has it, in `folder`."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    exact = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
    once = ["--retries", "1", "--timeout", "30"]
    called([*pip, *exact, *once, "--dest", str(folder), "-r", str(REQUIREMENTS)])
    made = list(folder.glob("*.tar.gz"))
    if len(made) != 1:
        raise Unreachable(f"pip brought {len(made)} archives of {package.name}, not one")
    return made[0]
