"""Client: the library's connection to the bus, as it behaves on our event loop.

What is done over it is the Bus's.
"""

from nats.aio.client import Client
from nats.errors import StaleConnectionError


class BusClient(Client):
    """Who writes to a connection in the moment in which it is lost hears so.

    uvloop raises a RuntimeError then, the loop that the library is made for says nothing, and
    nobody that is to try again would know it for what it is.
    """

    async def publish(
        self,
        subject: str,
        payload: bytes = b"",
        reply: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """As the library's. Raises nats.errors.Error."""
        try:
            await super().publish(subject, payload, reply, headers)
        except RuntimeError as error:
            raise StaleConnectionError from error
