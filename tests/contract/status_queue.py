"""Statuses and the outbox of one Connection without a server, on a clock that waiting moves on."""

from ci_host.adapters.memory.statuses import MemoryUntoldStatuses
from ci_host.engine.status_delivery import StatusDelivery
from pipelines.repo import Connection, ForgeKind
from pipelines.status import Status, StatusState
from tests.contract.ill_forge import Heard

OPEN = "waterways/lock"


def connection(url: str, **changes) -> Connection:
    facts = {"id": "tea", "kind": ForgeKind.GITEA, "api_url": url, "token": "t0ken"}
    return Connection(**{**facts, **changes})


def status(number: int, **changes) -> Status:
    """One of a sequence: two commits, two contexts on each, and the states of each in turn."""
    facts = {
        "id": f"s-{number}",
        "connection": "tea",
        "repo": "1",
        "repo_name": OPEN,
        "commit": "ab"[number % 2] * 40,
        "context": ("staunch/build", "staunch/build/gate")[number // 2 % 2],
        "state": list(StatusState)[number // 4 % 4],
        "description": f"number {number}",
        "target_url": "https://ci.example/runs/1",
        "at": float(number),
        # Each of a place of its own, of which it is the newest.
        "run": f"run-{number}",
    }
    return Status(**{**facts, **changes})


def heard(status: Status) -> Heard:
    """The Status as the Forge writes it down."""
    return Heard(
        status.repo_name, status.commit, status.context, str(status.state), status.description
    )


def events(said: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    return [line for line in said if line["event"] == name]


class HourQueue:
    """The outbox in order, one at a time, on a clock that `later` moves on."""

    def __init__(self, statuses: list[Status]) -> None:
        self.left = list(statuses)
        self.newest = {one.place: one.id for one in statuses}
        self.put_in = {one.id: one for one in statuses}
        self.now = 0.0
        self.times = 0

    @property
    def item(self) -> Status:
        return self.left[0]

    async def done(self) -> None:
        self.left.pop(0)
        self.times = 0

    async def later(self, delay_s: float) -> None:
        self.now += delay_s

    async def newest_of(self, place: Status) -> str:
        """As the outbox of a real server: also of what was delivered."""
        return self.newest[place.place]

    async def find(self, status: Status) -> Status | None:
        return self.put_in.get(status.id)

    async def put(self, status: Status) -> None:
        if status.id in self.put_in:
            return
        self.put_in[status.id] = status
        self.left.append(status)
        if not status.again_of:
            self.newest[status.place] = status.id

    async def __aiter__(self):
        while self.left:
            self.times += 1
            yield self


async def told_by(queue: HourQueue, sender, untold: MemoryUntoldStatuses | None = None) -> None:
    """All of the queue, until nothing is left of it."""
    kept = untold or MemoryUntoldStatuses()
    await StatusDelivery(queue, sender, queue, kept, lambda: queue.now).serve()
