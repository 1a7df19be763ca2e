"""The small stores on JetStream: bundles, settings, deliveries and their outcomes."""

import asyncio
import zlib
from typing import TypeVar

import msgspec

from ci_host.access import Token
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.blobs import NatsBlobs
from ci_host.adapters.nats.bus import Bus, Refused, expected
from ci_host.badge import BadgeRule
from ci_host.line_ports import EnvironmentRule, JobLimit, PoolRule
from ci_host.ports import Missing, Unavailable
from pipelines.announcement import Subscription
from pipelines.bundle import Bundle
from pipelines.group import Group
from pipelines.ids import Digest
from pipelines.repo import Connection, Delivery, DeliveryOutcome, Repo
from webhooks.errors import InboxUnavailable
from webhooks.inbox import Recorded

COMPRESS_FROM_BYTES = 262_144
# No JSON begins with a zero byte.
ZLIB_MARK = b"\0zlib"

T = TypeVar("T")


class NatsBundles:
    """See Bundles. Content-addressed: the first message under a digest is the only one."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._blobs = NatsBlobs(bus)

    async def put(self, bundle: Bundle) -> Digest:
        return await self._blobs.put(bundle.encode())

    async def get(self, digest: Digest) -> Bundle:
        try:
            return Bundle.decode(await self._blobs.get(digest))
        except Missing as error:
            raise Missing(f"bundle {error}") from error

    async def put_prepared(self, bundle: Digest, image: Digest, content: bytes) -> bytes:
        subject = subjects.prepared(bundle, image)
        if await self._bus.put_once(subject, content):
            return content
        # The leader's answer: another of a cluster's servers may not have the first one yet.
        stored = await self._bus.newest(subjects.BLOBS, subject)
        assert stored is not None, "what conflicts exists"
        return stored.body

    async def get_prepared(self, bundle: Digest, image: Digest) -> bytes | None:
        stored = await self._bus.last(subjects.BLOBS, subjects.prepared(bundle, image))
        return None if stored is None else stored.body


class NatsGroups:
    """See Groups. An empty group is a small record that stays."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def read(self, repo: str, key: str) -> tuple[int, Group]:
        stored = await self._bus.last(subjects.GROUPS, subjects.group(repo, key))
        if stored is None:
            return 0, Group()
        return stored.sequence, msgspec.json.decode(stored.body, type=Group)

    async def write(self, repo: str, key: str, group: Group, *, after: int) -> None:
        subject = subjects.group(repo, key)
        await self._bus.publish(subject, msgspec.json.encode(group), expected(after))


class NatsCatalog:
    """See Catalog; and how the command line and the API change it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def connection(self, connection: str) -> Connection | None:
        return await self._get("connection", connection, Connection)

    async def repo(self, repo: str) -> Repo | None:
        return await self._get("repo", repo, Repo)

    async def connections(self) -> list[Connection]:
        """Every Connection."""
        return await self._all("connection", Connection)

    async def repos(self) -> list[Repo]:
        """Every Repo."""
        return await self._all("repo", Repo)

    async def put_connection(self, connection: Connection) -> None:
        """Add or replace; durable when it returns."""
        await self._put("connection", connection.id, connection)

    async def put_repo(self, repo: Repo) -> None:
        """Add or replace; durable when it returns."""
        await self._put("repo", repo.id, repo)

    async def put_token(self, token: Token) -> None:
        """Add or replace; durable when it returns."""
        await self._put("token", token.digest, token)

    async def put_subscription(self, subscription: Subscription) -> None:
        """Add or replace; durable when it returns."""
        await self._put("subscription", subscription.id, subscription)

    async def limits(self) -> list[JobLimit]:
        """Every limit, also those that were removed."""
        return await self._all("limit", JobLimit)

    async def put_limit(self, limit: JobLimit) -> None:
        """Add, replace or remove; durable when it returns."""
        name = f"pool/{limit.pool}" if limit.pool else f"repo/{limit.repo}"
        await self._put("limit", name, limit)

    async def pool_rules(self) -> list[PoolRule]:
        """Every rule, also those that were removed."""
        return await self._all("pool", PoolRule)

    async def put_pool_rule(self, rule: PoolRule) -> None:
        """Add, replace or remove; durable when it returns."""
        await self._put("pool", rule.pool, rule)

    async def environment_rules(self) -> list[EnvironmentRule]:
        """Every rule, also those that were removed."""
        return await self._all("environment", EnvironmentRule)

    async def put_environment_rule(self, rule: EnvironmentRule) -> None:
        """Add, replace or remove; durable when it returns."""
        await self._put("environment", f"{rule.repo} {rule.environment}", rule)

    async def put_badge_rule(self, rule: BadgeRule) -> None:
        """Add or replace; durable when it returns."""
        await self._put("badge", rule.repo, rule)

    async def _put(self, kind: str, name: str, value: msgspec.Struct) -> None:
        await self._bus.publish(subjects.config(kind, name), msgspec.json.encode(value))

    async def _get(self, kind: str, name: str, form: type[T]) -> T | None:
        stored = await self._bus.last(subjects.CONFIG, subjects.config(kind, name))
        return None if stored is None else msgspec.json.decode(stored.body, type=form)

    async def _all(self, kind: str, form: type[T]) -> list[T]:
        found = await self._bus.read(subjects.CONFIG, f"config.{kind}.*")
        return [msgspec.json.decode(stored.body, type=form) for stored in found]


class NatsInbox:
    """See webhooks.inbox.Inbox."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def record(self, delivery: Delivery) -> Recorded:
        _, subject = subjects.intake(delivery.connection, delivery.id)
        try:
            new = await self._bus.put_once(subject, encode_delivery(delivery))
        except (Unavailable, Refused) as error:
            raise InboxUnavailable(str(error)) from error
        return Recorded.RECORDED if new else Recorded.DUPLICATE

    async def count(self) -> int:
        try:
            # Nothing else is in these streams, so their sequences count them.
            lanes = [subjects.intake_stream(k) for k in range(subjects.INTAKE_LANES)]
            return sum(await asyncio.gather(*map(self._bus.newest_sequence, lanes)))
        except Unavailable as error:
            raise InboxUnavailable(str(error)) from error

    async def get(self, connection: str, delivery: str) -> Delivery | None:
        """A kept delivery, or None."""
        stream, subject = subjects.intake(connection, delivery)
        stored = await self._bus.last(stream, subject)
        if stored is None:
            # From when there was one lane only.
            stored = await self._bus.last(*subjects.first_lane(connection, delivery))
        return None if stored is None else decode_delivery(stored.body)


def encode_delivery(delivery: Delivery) -> bytes:
    """A Delivery as it is kept. A large one is compressed: forges send up to 25 MiB."""
    content = msgspec.json.encode(delivery)
    if len(content) < COMPRESS_FROM_BYTES:
        return content
    return ZLIB_MARK + zlib.compress(content, level=1)


def decode_delivery(content: bytes) -> Delivery:
    """The inverse. Raises msgspec.DecodeError."""
    if content.startswith(ZLIB_MARK):
        content = zlib.decompress(content[len(ZLIB_MARK) :])
    return msgspec.json.decode(content, type=Delivery)


class NatsOutcomes:
    """See Outcomes."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def tell(self, outcome: DeliveryOutcome) -> None:
        subject = subjects.outcome(outcome.connection, outcome.id)
        await self._bus.publish(subject, msgspec.json.encode(outcome))
