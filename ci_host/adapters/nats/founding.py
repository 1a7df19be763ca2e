"""Founding: makes a server ready for an installation, before anybody works with it."""

from ci_host.adapters.nats.bus import connect, shown
from ci_host.adapters.nats.server import PAYLOAD_BYTES_MAX, ServerError
from ci_host.adapters.nats.streams import ensure_streams


async def found(url: str, shards: int, replicas: int) -> None:
    """Raises ServerError: it takes too little in a message; Unavailable: it keeps no streams."""
    bus = await connect(url, name="supervisor")
    try:
        if bus.client.max_payload < PAYLOAD_BYTES_MAX:
            raise ServerError(
                f"the nats-server at {shown(url)} takes no more than {bus.client.max_payload:,}"
                " bytes in a message; set its max_payload to 8MB"
            )
        await ensure_streams(bus.js, shards, replicas)
    finally:
        await bus.close()
