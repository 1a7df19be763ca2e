"""Stores: the parts of the bus and of the host's settings that the pages read, in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from ci_host.access import Token
from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.memory.timetables import MemoryTimetables
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Stored
from ci_host.adapters.nats.timetables import Page
from ci_host.adapters.sql.fold import fold_input
from ci_host.adapters.sql.rows import Rows
from ci_host.badge import BadgeRule
from ci_host.line_ports import EnvironmentRule, JobLimit, PoolRule
from pipelines.announcement import Subscription
from pipelines.events import RunStarted
from pipelines.ids import RunId
from pipelines.repo import Connection, Delivery, DeliveryOutcome, Repo
from pipelines.status import Status
from webhooks.forge import Account, Later, Permission, Refused
from webhooks.inbox import Recorded

NOW = 1_800_000_000.0


@dataclass
class MemoryBus:
    """The part of Bus that pages and logs read: messages by subject."""

    messages: dict[str, list[Stored]] = field(default_factory=dict)
    sequence: int = 0

    async def read(self, _stream: str, subject: str, after: int = 0) -> list[Stored]:
        kept = [one for name, of in self.messages.items() if _is_on(name, subject) for one in of]
        return [one for one in sorted(kept, key=_sequence) if one.sequence > after]

    def server_version(self) -> str:
        return "2.15.1"

    async def last(self, _stream: str, subject: str) -> Stored | None:
        return (self.messages.get(subject) or [None])[-1]

    async def page(
        self, stream: str, subject: str, after: int, at_most: int
    ) -> tuple[list[Stored], bool]:
        found = await self.read(stream, subject, after)
        return found[:at_most], len(found) > at_most

    async def newest(self, stream: str, subject: str) -> Stored | None:
        return await self.last(stream, subject)

    async def publish(self, subject: str, body: bytes) -> None:
        self.put(subject, body)

    async def put_once(self, subject: str, body: bytes) -> bool:
        if subject in self.messages:
            return False
        self.put(subject, body)
        return True

    def put(self, subject: str, body: bytes) -> None:
        self.sequence += 1
        stored = Stored(subject, self.sequence, NOW, body, {})
        self.messages.setdefault(subject, []).append(stored)


def _sequence(one: Stored) -> int:
    return one.sequence


def _is_on(name: str, subject: str) -> bool:
    """Whether a subject is this one; `*` at its end is any word."""
    return name == subject or (subject.endswith(".*") and name.startswith(subject[:-1]))


@dataclass
class MemoryInbox:
    """Deliveries as they came. Of one that is recorded here a Run has begun at once."""

    bus: MemoryBus
    kept: dict[tuple[str, str], Delivery] = field(default_factory=dict)

    async def get(self, connection: str, id_: str) -> Delivery | None:
        return self.kept.get((connection, id_))

    async def record(self, delivery: Delivery) -> Recorded:
        key = (delivery.connection, delivery.id)
        if key in self.kept:
            return Recorded.DUPLICATE
        self.kept[key] = delivery
        outcome = DeliveryOutcome(
            connection=delivery.connection, id=delivery.id, state="started", runs=["1-0"]
        )
        self.bus.put(subjects.outcome(*key), msgspec.json.encode(outcome))
        return Recorded.RECORDED


@dataclass
class MemoryDirectory:
    """The host's settings."""

    connections: dict[str, Connection] = field(default_factory=dict)
    repos: dict[str, Repo] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    badges: dict[str, BadgeRule] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)

    def find(self, connection_id: str) -> Connection | None:
        return self.connections.get(connection_id)


@dataclass
class MemoryCatalog:
    """What the pages themselves keep of the host's settings."""

    put: list[object] = field(default_factory=list)

    rules: list[PoolRule] = field(default_factory=list)
    environments: list[EnvironmentRule] = field(default_factory=list)
    job_limits: list[JobLimit] = field(default_factory=list)
    registered: list[Repo] = field(default_factory=list)

    async def repos(self) -> list[Repo]:
        return self.registered

    async def environment_rules(self) -> list[EnvironmentRule]:
        return self.environments

    async def limits(self) -> list[JobLimit]:
        return self.job_limits

    async def pool_rules(self) -> list[PoolRule]:
        return self.rules

    async def put_badge_rule(self, rule: BadgeRule) -> None:
        self.put.append(rule)

    async def put_token(self, token: Token) -> None:
        self.put.append(token)


class MemoryOutbox:
    """See StatusOutbox; `put_in`: all that was."""

    def __init__(self) -> None:
        self.put_in: list[Status] = []

    async def put(self, status: Status) -> None:
        self.put_in.append(status)

    async def find(self, status: Status) -> Status | None:
        return next((one for one in self.put_in if one.id == status.id), None)

    async def newest_of(self, place: Status) -> str | None:
        ids = [one.id for one in self.put_in if one.place == place.place and not one.again_of]
        return ids[-1] if ids else None


@dataclass
class MemoryMembers:
    """What a forge says that somebody may do, by (repository, account); `asked` counts."""

    told: dict[tuple[str, str], Permission | Later | Refused] = field(default_factory=dict)
    asked: int = 0

    async def permission(self, repo: Repo, who: Account) -> Permission | Later | Refused:
        self.asked += 1
        return self.told.get((repo.id, who.id), Permission.NONE)


class FoldedHistory(MemoryHistory):
    """Whatever begins is in the read model at once, as a projector has it soon."""

    def __init__(self, now: float, fold: Callable[[str, Callable[[Rows], None]], None]) -> None:
        super().__init__(now)
        self._fold = fold

    async def create(self, run: RunId, first: RunStarted) -> bool:
        is_new = await super().create(run, first)
        if is_new:
            (stored,) = await self.inputs_after(run, 0)
            told = (run, stored.sequence, stored.at, stored.input)
            self._fold(run, lambda rows: fold_input(rows, *told))
        return is_new


class PagedTimetables(MemoryTimetables):
    """With the list that the page shows: one Timetable, and no further page."""

    async def page(self, _after: int, _at_most: int) -> Page:
        _, table = await self.read("tea/7")
        return Page([table], None)
