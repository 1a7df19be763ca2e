"""Fakes behind the ports of `webhooks`, for tests and for the simulator. They lose all at exit."""

from pipelines.repo import Connection, Delivery
from pipelines.status import Status
from webhooks.errors import InboxUnavailable
from webhooks.forge import Sent, Told
from webhooks.inbox import Recorded


class MemoryInbox:
    """The Inbox in a dict. `available = False` plays a bus that is down."""

    def __init__(self) -> None:
        self.deliveries: dict[tuple[str, str], Delivery] = {}
        self.available = True

    async def record(self, delivery: Delivery) -> Recorded:
        """See Inbox."""
        if not self.available:
            raise InboxUnavailable("the inbox is switched off")
        key = (delivery.connection, delivery.id)
        if key in self.deliveries:
            return Recorded.DUPLICATE
        self.deliveries[key] = delivery
        return Recorded.RECORDED

    async def count(self) -> int:
        """See Inbox."""
        if not self.available:
            raise InboxUnavailable("the inbox is switched off")
        return len(self.deliveries)


class MemoryConnections:
    """Connections by id, as the host's configuration offers them."""

    def __init__(self, *connections: Connection) -> None:
        self.by_id = {connection.id: connection for connection in connections}

    def find(self, connection_id: str) -> Connection | None:
        """See Connections."""
        return self.by_id.get(connection_id)


class MemoryStatusClient:
    """Answers what it was told to answer, then Sent; keeps what it was told."""

    def __init__(self, *answers: Told) -> None:
        self.answers = list(answers)
        self.told: list[Status] = []

    async def post_status(self, status: Status) -> Told:
        """See StatusClient."""
        self.told.append(status)
        return self.answers.pop(0) if self.answers else Sent()
