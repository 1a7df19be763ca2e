"""Registries: where images may be fetched from, as an operator writes it. Pure.

    ghcr.io                  this one, over TLS
    registry.example:5000    at this port
    http://127.0.0.1:5000    without TLS, because the operator says so

Here: the list, what a name means on it, and whose credentials are for it. Fetching is
`registry_client`. Standard library only.
"""

import base64
import binascii
import json
from pathlib import Path

import msgspec

from runners import targets

# The name that people write, and the host that answers for it.
HUB, HUB_HOST = "docker.io", "registry-1.docker.io"
HUB_AUTHS = ("https://index.docker.io/v1/", "index.docker.io", HUB_HOST)
FILE_BYTES_MAX = 1_048_576


class BadRegistry(ValueError):
    """An entry or a file that means nothing; the message says what would."""


class Registry(msgspec.Struct, frozen=True, kw_only=True):
    """One that images may come from. `name` is how images are written: host, perhaps with port."""

    name: str
    host: str
    port: int
    is_plain: bool = False

    @property
    def url(self) -> str:
        """Where its API is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme, usual = ("http", 80) if self.is_plain else ("https", 443)
        port = "" if self.port == usual else f":{self.port}"
        return f"{scheme}://{host}{port}/v2"


def parse(text: str) -> Registry:
    """One entry. Raises BadRegistry."""
    is_plain = text.startswith("http://")
    name = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    host, colon, port = name.rpartition(":") if ":" in name.rpartition("]")[2] else (name, "", "")
    host = host.removeprefix("[").removesuffix("]").lower()
    is_number = port.isascii() and port.isdecimal() and 0 < int(port) < 65_536
    if not targets.HOST.match(host) or bool(colon) is not is_number:
        raise BadRegistry(
            f"{text!r} is no registry; write a host such as ghcr.io, registry.example:5000, or"
            " http://127.0.0.1:5000 for one without TLS"
        )
    number = int(port) if port else (80 if is_plain else 443)
    return Registry(
        name=name.lower(),
        host=HUB_HOST if host == HUB else host,
        port=number,
        is_plain=is_plain,
    )


def find(name: str, registries: list[Registry]) -> tuple[Registry, str] | None:
    """The registry that the name of an image means, and its repository there."""
    host, slash, repository = name.partition("/")
    for one in registries:
        if slash and one.name == host.lower():
            is_short = one.host == HUB_HOST and "/" not in repository
            return one, f"library/{repository}" if is_short else repository
    return None


def credentials_of(content: bytes, registry: Registry) -> str:
    """`user:password` out of a file like Docker's `config.json`; empty: it has none for this one.

    Raises BadRegistry.
    """
    try:
        auths = json.loads(content).get("auths", {})
        keys = [registry.name, f"https://{registry.name}", registry.host]
        keys += HUB_AUTHS if registry.host == HUB_HOST else ()
        found: dict[str, str] = next((auths[key] for key in keys if key in auths), {})
        if "username" in found:
            return f"{found['username']}:{found['password']}"
        return base64.b64decode(found.get("auth", ""), validate=True).decode()
    except (ValueError, AttributeError, TypeError, KeyError, binascii.Error) as error:
        raise BadRegistry(f"the file of credentials has another form than Docker's: {error}") from (
            error
        )


def read_credentials(path: Path | None, registry: Registry) -> str:
    """The same, of a file. Raises BadRegistry."""
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            return credentials_of(file.read(FILE_BYTES_MAX), registry)
    except OSError as error:
        raise BadRegistry(f"the file of credentials cannot be read: {error}") from error
