"""Fetch: packages into `.published/`, checked before a byte of them is unpacked."""

import base64
import hashlib
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from tests.published.api import REQUESTS, requests_of
from tests.published.npm import WrongPackage
from tests.published.packages import FORGEJO, OPENAPI, PINNED, Package
from tests.published.swagger import as_openapi


def fetch(packages: Iterable[Package], packed: Callable[[Package, Path], Path]) -> None:
    """Fetch those that are not there. `packed` brings an archive; Unreachable, WrongPackage."""
    for package in packages:
        if package.is_there():
            continue
        shutil.rmtree(package.folder, ignore_errors=True)
        package.folder.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=package.folder) as place:
            archive = packed(package, Path(place))
            check(package, archive.read_bytes())
            unpack(package, archive)
        if package.name in (OPENAPI.name, FORGEJO.name):
            _cut(package)
        # Last: without it nothing of this counts.
        (package.folder / PINNED).write_text(package.stamp)


def check(package: Package, archive: bytes) -> None:
    """Raise WrongPackage unless it is the pinned one, byte for byte."""
    digest = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if f"sha512-{digest}" != package.integrity:
        raise WrongPackage(
            f"{package.name} {package.version} has digest sha512-{digest}, and {package.integrity}"
            " is pinned in tests/published/packages.py"
        )


def unpack(package: Package, archive: Path) -> None:
    """The files that are kept, by their path in the package."""
    with tarfile.open(archive) as files:
        for one in files.getmembers():
            name = one.name.partition("/")[2]
            held = files.extractfile(one) if one.isfile() else None
            if held is None or not any(fnmatchcase(name, keep) for keep in package.keep):
                continue
            target = package.folder / name.replace("/", "-")
            target.write_bytes(held.read())


def _cut(package: Package) -> None:
    """Of 13 MB, what says how a request must be."""
    (whole,) = package.folder.glob("*.json")
    document = whole.read_bytes()
    if package.name == FORGEJO.name:
        document = as_openapi(document)
    (package.folder / REQUESTS).write_bytes(requests_of(document))
    whole.unlink()
