"""`make published`: fetch what forges publish. A registry that is away fails nothing; a package
that is another than the pinned one does."""

import sys
import tempfile
from pathlib import Path

from tests.published.fetch import fetch
from tests.published.npm import Unreachable, WrongPackage, npm_command, pack
from tests.published.packages import FOLDER, PACKAGES, UNREACHABLE, missing


def main() -> int:
    """The exit code."""
    if not missing():
        return 0
    FOLDER.mkdir(exist_ok=True)
    UNREACHABLE.unlink(missing_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=FOLDER) as spare:
            npm = npm_command(Path(spare))
            fetch(PACKAGES, lambda package, folder: pack(npm, package, folder))
    except Unreachable as error:
        UNREACHABLE.write_text(f"the npm registry cannot be reached: {error}")
        print(f"{UNREACHABLE.read_text()}; tests against what forges publish are skipped")
    except WrongPackage as error:
        print(f"what forges publish is not what was pinned: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
