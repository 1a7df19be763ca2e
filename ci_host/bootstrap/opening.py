"""The opening of an installation, done: recorded as if its host had been asked for it."""

import asyncio
from pathlib import Path

from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.stores import NatsCatalog, NatsInbox
from ci_host.opening import given


async def do_opening(path: Path, bus: Bus) -> None:
    """Once: who dies before the end does all of it again, and it is the same.

    Raises Unavailable, InboxUnavailable.
    """
    opening = await asyncio.to_thread(given, path)
    if opening is None:
        return
    catalog = NatsCatalog(bus)
    # Not over one that is there: it may have a secret by now.
    if await catalog.connection(opening.connection.id) is None:
        await catalog.put_connection(opening.connection)
    await catalog.put_repo(opening.repo)
    await NatsInbox(bus).record(opening.delivery)
    await asyncio.to_thread(path.unlink, missing_ok=True)
