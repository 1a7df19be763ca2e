"""Place: where the peers are installed, and how. Only what a registry of packages has."""

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
HOME = HERE.parents[2] / ".peers"
PYTHON = HOME / "venv" / "bin" / "python"
MODULES = HOME / "node_modules"
POSTGRES_PLACES = "/usr/lib/postgresql"


def install() -> None:
    """Install what is not there yet. Raises CalledProcessError."""
    wanted = [HERE / "requirements.txt", HERE / "package.json"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in wanted)).hexdigest()
    mark = HOME / "installed"
    if mark.exists() and mark.read_text() == digest:
        return
    print("installing the peers into .peers (once, about a minute)", file=sys.stderr)
    shutil.rmtree(HOME, ignore_errors=True)
    venv.create(HOME / "venv", with_pip=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "-q", "-r", wanted[0]], check=True)
    if npm := shutil.which("npm"):
        shutil.copy(wanted[1], HOME)
        # A postinstall script would fetch a binary; the package of the platform has it already.
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run([npm, "install", *quiet], cwd=HOME, check=True)
    mark.write_text(digest)


def binary(name: str) -> Path | None:
    """A program of an npm package, or None where npm or the platform's package is missing."""
    found = [path for path in MODULES.rglob(f"bin/{name}") if not path.is_symlink()]
    native = [path for path in found if path.read_bytes()[:4] == b"\x7fELF"]
    return native[0] if native else None


def postgres() -> Path | None:
    """The folder of PostgreSQL's programs, the newest of them, or None."""
    return max(_postgres_places(), default=None)


def _postgres_places() -> Iterator[Path]:
    for folder in Path(POSTGRES_PLACES).glob("*/bin"):
        if (folder / "initdb").exists():
            yield folder
