"""Fetching images: the processes that do it, from the agent's side.

Here: what a process is told, how long it may take, and where it puts what it finds. What it does is
`registry_fetch`, and `rootfs` for unpacking; none of it is in the agent's own memory.
"""

import asyncio
import itertools
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from runners import registries
from runners.layouts import BadImage
from runners.registries import BadRegistry, Registry

FETCH_S = 1_800.0
# Between tries at a registry that is away.
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)
WORK = {"runners.rootfs": "unpacking it", "runners.registry_fetch": "fetching it"}
# Where the machine has certificates of its own to believe; as OpenSSL names them.
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_START = (
    "import sys, json, importlib; sys.path.insert(0, sys.argv[1]);"
    " main = importlib.import_module(sys.argv[2]).main;"
    " print(json.dumps(main(json.loads(sys.stdin.read()))))"
)
_PACKAGES = str(Path(__file__).resolve().parent.parent)


class Fetcher:
    """Fetches from the registries of a list."""

    def __init__(
        self,
        folder: Path,
        listed: Sequence[Registry],
        credentials: Path | None,
        uid: int | None,
        gid: int | None,
    ) -> None:
        """`folder`: below which it puts what it fetched; as `uid` and `gid`, if it is root."""
        self._folder = folder
        self._listed = list(listed)
        self._credentials = credentials
        self._uid = uid
        self._gid = gid
        self._numbers = itertools.count(1)

    @property
    def names(self) -> list[str]:
        """Of its registries."""
        return [one.name for one in self._listed]

    def find(self, name: str) -> tuple[Registry, str] | None:
        """The registry and the repository that an image's name means; None: none of these."""
        return registries.find(name, self._listed)

    @asynccontextmanager
    async def fetched(
        self, registry: Registry, repository: str, reference: str, have: list[str]
    ) -> AsyncIterator[tuple[Path, str]]:
        """A layout, as long as it is needed, and the digest of the manifest for this machine.

        Of one that is among `have` there is nothing but its digest. Raises BadImage.
        """
        place = self._folder / f".{next(self._numbers)}.fetched"
        place.mkdir(mode=0o755)
        if self._uid is not None and self._gid is not None:
            os.chown(place, self._uid, self._gid)
        try:
            told = {
                "listed": [msgspec.to_builtins(one) for one in self._listed],
                "registry": msgspec.to_builtins(registry),
                "repository": repository,
                "reference": reference,
                "credentials": registries.read_credentials(self._credentials, registry),
                "have": have,
                "folder": str(place),
                "uid": self._uid,
                "gid": self._gid,
                "keeper": os.getpid(),
                "pauses_s": PAUSES_S,
            }
            answer = await ask_process("runners.registry_fetch", told, FETCH_S, place)
            if "problem" in answer:
                raise BadImage(answer["problem"])
            yield place, answer["digest"]
        except BadRegistry as bad:
            raise BadImage(str(bad)) from bad
        finally:
            await asyncio.to_thread(shutil.rmtree, place)


async def ask_process(
    module: str, told: dict[str, Any], seconds: float, place: Path
) -> dict[str, Any]:
    """The answer of a module's `main` in a process of its own, or `problem` with why there is none.

    It is told by its standard input: what is in a command line everybody can read. `place`, where
    it works, is there for whoever looks.
    """
    what = WORK[module]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-c", _START, _PACKAGES, module, str(place)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: os.environ[name] for name in CERTIFICATES if name in os.environ},
    )
    try:
        answer = process.communicate(json.dumps(told).encode())
        said, errors = await asyncio.wait_for(answer, seconds)
    except TimeoutError:
        return {"problem": f"{what} took more than {seconds:g} s"}
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return {"problem": f"{what} ended with {process.returncode}: {last[0][:500]}"}
    found: dict[str, Any] = json.loads(said)
    return found
