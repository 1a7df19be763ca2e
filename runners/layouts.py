"""OCI layouts: an image as a folder of blobs, or the same folder in a tar. Reading only.

Here: from a name, a tag and a digest to a manifest, its configuration and its layers, with every
digest checked. What layers become is `rootfs`. Standard library only: the process that unpacks an
image reads it by this too.
"""

import hashlib
import json
import os
import platform
import re
import tarfile
from pathlib import Path
from typing import Any, BinaryIO

DOCUMENT_BYTES_MAX = 4_194_304
LAYERS_MAX = 500
VOLUMES_MAX = 20
READ_BYTES = 1_048_576
DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
REF_NAME = "org.opencontainers.image.ref.name"
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class BadImage(Exception):
    """It cannot be read, or not all of it is what it says; the message says what."""


class Layout:
    """One image layout, open."""

    def __init__(self, path: Path) -> None:
        """A folder, or a tar that is not compressed. Raises BadImage."""
        self._tar: tarfile.TarFile | None = None
        self._folder = -1
        try:
            if path.is_dir():
                # Held open: whoever reads on may not find the way to it any more.
                self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            else:
                self._tar = tarfile.open(path, "r:")  # noqa: SIM115  closed by `close`
        except (OSError, tarfile.TarError) as error:
            raise BadImage(f"{path} is no OCI layout and no tar of one: {error}") from error

    def close(self) -> None:
        """No more is read."""
        if self._tar is not None:
            self._tar.close()
        else:
            os.close(self._folder)

    def choose(self, tag: str, digest: str) -> str:
        """The digest of the manifest for this machine. Raises BadImage."""
        entries = self._list(self._json(self._open("index.json"), "index.json"))
        named = [one for one in entries if self._is_meant(one, tag, digest)]
        if not named:
            known = {str((one.get("annotations") or {}).get(REF_NAME, "")) for one in entries}
            tags = ", ".join(sorted(known - {""})) or "no tag"
            raise BadImage(f"it has no image {tag or digest or 'alone'!r}; it has {tags}")
        chosen = named[0]
        while chosen.get("mediaType") in INDEXES:
            chosen = self._of_this_machine(self._list(self.document(_digest_of(chosen))))
        return _digest_of(chosen)

    def document(self, digest: str) -> dict[str, Any]:
        """A small blob of JSON. Raises BadImage."""
        with self.blob(digest) as file:
            content = file.read(DOCUMENT_BYTES_MAX + 1)
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise BadImage(f"the blob {digest} is not what its name says")
        return self._parsed(content, digest)

    def blob(self, digest: str) -> BinaryIO:
        """A blob, not checked yet. Raises BadImage."""
        if not DIGEST.match(digest):
            raise BadImage(f"{digest[:100]!r} is no digest")
        return self._open(f"blobs/sha256/{digest.removeprefix('sha256:')}")

    def check(self, digest: str) -> None:
        """Raises BadImage unless the blob is what its name says."""
        sha = hashlib.sha256()
        with self.blob(digest) as file:
            while data := file.read(READ_BYTES):
                sha.update(data)
        if f"sha256:{sha.hexdigest()}" != digest:
            raise BadImage(f"the layer {digest} is not what its name says")

    def _is_meant(self, entry: dict[str, Any], tag: str, digest: str) -> bool:
        if digest:
            return entry.get("digest") == digest
        name = str((entry.get("annotations") or {}).get(REF_NAME, ""))
        return not tag or name == tag or name.endswith(f":{tag}")

    def _of_this_machine(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        machine = MACHINES.get(platform.machine(), platform.machine())
        for entry in entries:
            its = entry.get("platform") or {}
            if its.get("architecture") == machine and its.get("os", "linux") == "linux":
                return entry
        raise BadImage(f"it has nothing for linux/{machine}")

    def _list(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        found = document.get("manifests")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise BadImage("an index of it lists no manifests")
        return found

    def _open(self, name: str) -> BinaryIO:
        try:
            if self._tar is None:
                descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
                return open(descriptor, "rb")
            member = self._member(name)
            file = self._tar.extractfile(member)
        except (OSError, KeyError, tarfile.TarError) as error:
            raise BadImage(f"{name} of it cannot be read: {error}") from error
        if file is None:
            raise BadImage(f"{name} of it is no file")
        return file  # type: ignore[return-value]  # a buffered reader, which is one

    def _member(self, name: str) -> tarfile.TarInfo:
        assert self._tar is not None
        try:
            return self._tar.getmember(name)
        except KeyError:
            return self._tar.getmember(f"./{name}")

    def _json(self, file: BinaryIO, name: str) -> dict[str, Any]:
        with file:
            return self._parsed(file.read(DOCUMENT_BYTES_MAX + 1), name)

    def _parsed(self, content: bytes, name: str) -> dict[str, Any]:
        if len(content) > DOCUMENT_BYTES_MAX:
            raise BadImage(f"{name} of it has more than {DOCUMENT_BYTES_MAX:,} bytes")
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise BadImage(f"{name} of it is no JSON") from error
        if not isinstance(found, dict):
            raise BadImage(f"{name} of it is no object")
        return found


def _digest_of(entry: dict[str, Any]) -> str:
    digest = str(entry.get("digest"))
    if not DIGEST.match(digest):
        raise BadImage(f"{digest[:100]!r} is no digest")
    return digest


def layers_of(manifest: dict[str, Any]) -> list[tuple[str, str]]:
    """Media type and digest of each layer, the lowest first. Raises BadImage."""
    found = manifest.get("layers")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadImage("its manifest has no layers")
    if len(found) > LAYERS_MAX:
        raise BadImage(f"it has {len(found)} layers; {LAYERS_MAX} are allowed")
    return [(str(one.get("mediaType")), _digest_of(one)) for one in found]


def environment_of(config: dict[str, Any]) -> dict[str, str]:
    """The variables that an image sets."""
    said = (config.get("config") or {}).get("Env") or []
    pairs = [str(one).partition("=") for one in said] if isinstance(said, list) else []
    return {name: value for name, equals, value in pairs if equals and "\0" not in value}


def words_of(config: dict[str, Any], name: str) -> list[str]:
    """What an image runs: its `Entrypoint`, or its `Cmd`."""
    said = (config.get("config") or {}).get(name) or []
    words = [str(one) for one in said] if isinstance(said, list) else []
    return words if not any("\0" in word for word in words) else []


def folder_of(config: dict[str, Any]) -> str:
    """Where what an image runs begins."""
    said = str((config.get("config") or {}).get("WorkingDir") or "/")
    return said if said.startswith("/") and "\0" not in said else "/"


def volumes_of(config: dict[str, Any]) -> list[str]:
    """The folders that an image leaves to be written."""
    said = (config.get("config") or {}).get("Volumes") or {}
    names = sorted(map(str, said)) if isinstance(said, dict) else []
    return [name for name in names[:VOLUMES_MAX] if name.startswith("/") and "\0" not in name]


def path_in(folder: Path, name: str) -> Path | None:
    """The layout called `name` that is offered in a folder; None where there is none."""
    if any(part in ("", ".", "..") for part in name.split("/")):
        return None
    for path in (folder / name, folder / f"{name}.tar"):
        if os.path.exists(path):
            return path
    return None
