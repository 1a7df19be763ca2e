"""Fetching one image: in what order, what is checked, and what is left in the folder.

Here: from a reference to a layout with one manifest for this machine, its configuration and its
layers, each written while its digest is counted. How a registry is asked is `registry_client`.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from runners import layouts, spawn
from runners.layouts import BadImage, Layout
from runners.registries import Registry
from runners.registry_client import Away, Client, Guard

# Compressed; what they unpack to has a limit of its own.
LAYERS_BYTES_MAX = 21_474_836_480
MEMORY_BYTES_MAX = 2_147_483_648

T = TypeVar("T")


class Fetch:
    """One image, into an empty folder that becomes an OCI layout."""

    def __init__(self, client: Client, folder: Path, pauses_s: tuple[float, ...]) -> None:
        self._client = client
        self._folder = folder
        self._pauses_s = pauses_s

    def resolve(self, reference: str) -> str:
        """The digest of the manifest that a tag or digest means on this machine.

        Raises BadImage, Away.
        """
        (self._folder / "blobs" / "sha256").mkdir(parents=True)
        kind, content = self._patiently(lambda: self._client.manifest(reference))
        digest = _digest(content)
        if layouts.DIGEST.match(reference) and digest != reference:
            raise BadImage(f"what is called {reference} there has the digest {digest}")
        self._place(digest).write_bytes(content)
        index = {"manifests": [{"mediaType": kind, "digest": digest, "size": len(content)}]}
        (self._folder / "index.json").write_text(json.dumps(index))
        layout = Layout(self._folder)
        try:
            return layout.choose("", digest)
        finally:
            layout.close()

    def complete(self, digest: str) -> None:
        """All that the manifest names. Raises BadImage, Away."""
        if not self._place(digest).exists():
            _, content = self._patiently(lambda: self._client.manifest(digest))
            if _digest(content) != digest:
                raise BadImage(f"what is called {digest} there has the digest {_digest(content)}")
            self._place(digest).write_bytes(content)
        index = {"manifests": [{"digest": digest}]}
        (self._folder / "index.json").write_text(json.dumps(index))
        layout = Layout(self._folder)
        try:
            manifest = layout.document(digest)
        finally:
            layout.close()
        blobs = _blobs_of(manifest)
        if (size := sum(blobs.values())) > LAYERS_BYTES_MAX:
            raise BadImage(f"its layers have {size:,} bytes; {LAYERS_BYTES_MAX:,} are allowed")
        for blob, size in blobs.items():
            self._patiently(lambda blob=blob, size=size: self._take(blob, size))  # type: ignore[misc]

    def _take(self, digest: str, size: int) -> None:
        """One blob, which has just so many bytes."""
        sha, left = hashlib.sha256(), size
        with self._client.blob(digest) as pieces, self._place(digest).open("wb") as file:
            for piece in pieces:
                left -= len(piece)
                if left < 0:
                    break
                sha.update(piece)
                file.write(piece)
        if left > 0:
            raise Away(f"the blob {digest} broke off, {left:,} bytes before its end")
        if left < 0 or f"sha256:{sha.hexdigest()}" != digest:
            raise BadImage(f"the blob {digest} is not what its name says")

    def _place(self, digest: str) -> Path:
        return self._folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def _patiently(self, call: Callable[[], T]) -> T:
        for pause_s in self._pauses_s:
            try:
                return call()
            except Away as reason:
                print(reason, file=sys.stderr)  # noqa: T201  for the agent, should it give up
                time.sleep(pause_s)
        return call()


def _blobs_of(manifest: dict[str, Any]) -> dict[str, int]:
    """Digests and sizes of the configuration and of all layers. Raises BadImage."""
    config = manifest.get("config")
    layouts.layers_of(manifest)
    found = {}
    for one in [config, *manifest["layers"]]:
        size = one.get("size") if isinstance(one, dict) else None
        digest = str(one.get("digest")) if isinstance(one, dict) else ""
        if not isinstance(size, int) or size < 0 or not layouts.DIGEST.match(digest):
            raise BadImage("its manifest names a blob without a digest or a size")
        found[digest] = size
    return found


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def main(told: dict[str, Any]) -> dict[str, Any]:
    """Fetch `told["reference"]` of a repository into the folder `told["folder"]`.

    What is among `told["have"]` is only resolved.
    """
    listed = [msgspec.convert(one, Registry) for one in told["listed"]]
    registry = msgspec.convert(told["registry"], Registry)
    client = Client(registry, told["repository"], told["credentials"], Guard(listed))
    os.umask(0o022)
    # Names of hosts are encoded by a module that the user below may not be able to read.
    "host".encode("idna")
    folder = os.open(told["folder"], os.O_RDONLY | os.O_DIRECTORY)
    limits = {"RLIMIT_AS": MEMORY_BYTES_MAX, "RLIMIT_CORE": 0}
    spawn.give_up_rights({"uid": told["uid"], "gid": told["gid"], "limits": limits})
    spawn.die_with(told["keeper"])
    # The way to it may lead through folders that this user cannot enter.
    os.fchdir(folder)
    fetch = Fetch(client, Path(), tuple(told["pauses_s"]))
    try:
        digest = fetch.resolve(told["reference"])
        if digest not in told["have"]:
            fetch.complete(digest)
    except BadImage as bad:
        return {"problem": str(bad)}
    except Away as reason:
        return {"problem": f"{reason} (tried {len(told['pauses_s']) + 1} times)"}
    return {"digest": digest}
