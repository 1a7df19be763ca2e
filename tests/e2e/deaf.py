"""Deaf: repositories whose pushes no webhook tells of, and what was seen of their refs."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ci_host.adapters.nats.bus import connect
from ci_host.adapters.nats.sights import NatsSights
from ci_host.ref_ports import Sight
from tests.demo.installation import until
from tests.e2e.installed import TIMEOUT_S, Installed, Registered

# The grace of so short an interval is as short.
OPTIONS = ("--reconcile-s", "2")


@contextmanager
def apart() -> Iterator[Path]:
    """A folder that jobs may enter, gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-lost-"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def deafened(here: Installed, name: str) -> Registered:
    repo = here.repo(name)
    (repo.bare / "hooks" / "post-receive").unlink()
    seen(here, repo, {})
    return repo


def sight_of(here: Installed, repo: Registered) -> Sight | None:
    """How its refs were when they were last seen."""
    return sight_of_id(here, f"{repo.connection}/{repo.bare}")


def sight_of_id(here: Installed, repo: str) -> Sight | None:
    """The same, of a Repo by its id."""

    async def read() -> Sight | None:
        bus = await connect(here.installation.nats_url(), name="test")
        try:
            return (await NatsSights(bus).read(repo))[1]
        finally:
            await bus.close()

    return asyncio.run(read())


def seen(here: Installed, repo: Registered, refs: dict[str, str]) -> None:
    """Until everything new up to these refs has been seen to."""

    def look() -> bool:
        sight = sight_of(here, repo)
        return sight is not None and sight.refs == refs

    until(f"{repo.name} to be seen with {refs}", look, TIMEOUT_S)


def deliveries(here: Installed, repo: Registered) -> list[dict[str, Any]]:
    """The repository's deliveries that something has become of, oldest first."""
    found = here.get("/deliveries?limit=200")["deliveries"]
    return [d for d in found if d["connection"] == repo.connection and d["state"] != "received"][
        ::-1
    ]
