"""`make published`: fetch what forges publish. A registry that is away fails nothing; a package
that is another than the pinned one does."""

import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.published import pypi
from tests.published.fetch import fetch
from tests.published.npm import Unreachable, WrongPackage, npm_command, pack
from tests.published.packages import (
    FOLDER,
    FORGEJO,
    NOT_ON_PYPI,
    PACKAGES,
    UNREACHABLE,
    Package,
    missing_of,
)


def main() -> int:
    """The exit code."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as spare:
        try:
            _fetch("the npm registry", UNREACHABLE, PACKAGES, lambda: _npm(Path(spare)))
            _fetch("PyPI", NOT_ON_PYPI, (FORGEJO,), lambda: pypi.download)
        except WrongPackage as error:
            print(f"what forges publish is not what was pinned: {error}")
            return 1
    return 0


def _npm(spare: Path) -> Callable[[Package, Path], Path]:
    npm = npm_command(spare)
    return lambda package, folder: pack(npm, package, folder)


def _fetch(
    registry: str,
    away: Path,
    packages: Iterable[Package],
    client: Callable[[], Callable[[Package, Path], Path]],
) -> None:
    """Those of one registry, or into `away` why they do not come. Raises WrongPackage."""
    if not missing_of(*packages):
        return
    away.unlink(missing_ok=True)
    try:
        fetch(packages, client())
    except Unreachable as error:
        away.write_text(f"{registry} cannot be reached: {error}")
        print(f"{away.read_text()}; tests against what forges publish are skipped")


if __name__ == "__main__":
    sys.exit(main())
