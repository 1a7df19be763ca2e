"""Streams: what is created on a server, and with which promises. Idempotent; run at every start.

Rules that must hold are written beside the option that keeps them. Runs have no limits at all: a
History that loses a message is no History.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import stamina
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NoAnswer
from nats.js import JetStreamContext
from nats.js.api import (
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
)
from nats.js.errors import APIError, NotFoundError

from ci_host.adapters.nats import subjects
from ci_host.ports import Unavailable

Said = TypeVar("Said")
DAY_S = 86_400.0
# While one waits for the disk another is made.
AT_ONCE = 4
# Longer than a job normally waits in its queue, so that a repaired effect is not queued twice.
DUPLICATE_WINDOW_S = 120.0
CONSUMERS_MAX = 20_000
# A cluster elects a leader in 4 to 9 s, and the streams' leaders after it.
ELECTION_S = 30.0
# What a stream has where a rule says nothing of it.
UNLESS_WISHED = {
    "max_age": (None, 0),
    "compression": (None, "none"),
    "allow_msg_schedules": (None, False),
}
# "System temporarily unavailable", "no suitable peers": a server of the cluster is still to come.
PASSING = {10008, 10005}


@dataclass(frozen=True, slots=True)
class StreamRule:
    """What differs between the streams; the rest is common."""

    name: str
    subjects: tuple[str, ...]
    max_age_s: float = 0.0
    per_subject: int = -1
    work_queue: bool = False
    schedules: bool = False
    compressed: bool = False


def rules(shards: int) -> list[StreamRule]:
    """Every stream of an installation with this many shards."""
    runs = [
        StreamRule(subjects.runs_stream(k), (f"run.{k}.>",), schedules=True) for k in range(shards)
    ]
    deliveries = [
        StreamRule(subjects.intake_stream(k), (subjects.intake_subjects(k),), max_age_s=30 * DAY_S)
        for k in range(subjects.INTAKE_LANES)
    ]
    return [
        *runs,
        *deliveries,
        StreamRule(subjects.OUTCOMES, ("outcome.>",), max_age_s=30 * DAY_S, per_subject=1),
        StreamRule(subjects.OFFERS, ("offer.>",)),
        StreamRule(subjects.JOBS, ("jobs.>",), work_queue=True),
        StreamRule(subjects.LEASES, ("lease.>",), max_age_s=90 * DAY_S),
        StreamRule(subjects.CANCELS, ("cancel.>",), max_age_s=30 * DAY_S, per_subject=1),
        # One that nobody uses is forgotten; one that is used is told again each day.
        StreamRule(subjects.CACHES, ("cache.>",), max_age_s=14 * DAY_S, per_subject=1),
        StreamRule(subjects.LOGS, ("log.>",), compressed=True),
        StreamRule(subjects.RUNNERS, ("runner.*",), max_age_s=90.0, per_subject=1),
        StreamRule(subjects.STATUSES, ("status.>",), max_age_s=30 * DAY_S),
        StreamRule(subjects.UNTOLD, ("untold.>",), max_age_s=30 * DAY_S, per_subject=1),
        StreamRule(subjects.BLOBS, ("blob.>", "prepared.>")),
        StreamRule(subjects.CONFIG, ("config.>",), per_subject=1),
        StreamRule(subjects.SECRETS, ("secret.*",), per_subject=1),
        StreamRule(subjects.SHELLS, ("standby.>",), max_age_s=90 * DAY_S, per_subject=1),
        StreamRule(subjects.REGISTRATIONS, ("registration.*",), per_subject=1),
        StreamRule(subjects.AUDIT, ("audit.>",), max_age_s=365 * DAY_S),
        StreamRule(subjects.SESSIONS, ("session.*",), max_age_s=DAY_S, per_subject=1),
        # As long as Deliveries: what a start is compared with.
        StreamRule(subjects.KEYS, ("key.>",), max_age_s=30 * DAY_S, per_subject=1),
        StreamRule(subjects.VIEWS, ("view.*",), per_subject=1),
        StreamRule(subjects.TRUST, ("trust.>",), max_age_s=90 * DAY_S, per_subject=1),
        StreamRule(subjects.GROUPS, ("group.>",), per_subject=1),
        StreamRule(subjects.SCHEDULES, ("schedule.>",), per_subject=1),
        StreamRule(subjects.ALARMS, ("alarm.>", "rung.>"), work_queue=True, schedules=True),
        StreamRule(subjects.SIGHTS, ("sight.*", "uncompared.*"), per_subject=1),
        # It counts between two looks at a Repo's refs.
        StreamRule(subjects.HEARD, ("heard.>",), max_age_s=7 * DAY_S, per_subject=1),
        # Of each pull request the newest: what a Forge that is away has not heard is not all told.
        StreamRule(
            subjects.COMMENTS, ("comment.>", "commanded.>"), max_age_s=90 * DAY_S, per_subject=1
        ),
        StreamRule(subjects.ANNOUNCEMENTS, ("announcement.>",), max_age_s=30 * DAY_S),
        StreamRule(subjects.IMPORTS, ("import.>",), compressed=True),
        StreamRule(subjects.HOST, ("host.>",), max_age_s=90 * DAY_S),
    ]


def config_of(rule: StreamRule, replicas: int = 1) -> StreamConfig:
    """The server's form of a rule."""
    return StreamConfig(
        name=rule.name,
        subjects=list(rule.subjects),
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE if rule.work_queue else RetentionPolicy.LIMITS,
        # A stream with schedules refuses "discard new"; it has no limit, so nothing is discarded.
        discard=DiscardPolicy.OLD if rule.schedules or rule.per_subject > 0 else DiscardPolicy.NEW,
        max_age=rule.max_age_s or None,
        max_msgs_per_subject=rule.per_subject,
        duplicate_window=min(DUPLICATE_WINDOW_S, rule.max_age_s or DUPLICATE_WINDOW_S),
        allow_direct=True,
        allow_msg_schedules=rule.schedules or None,
        # The server sets it with them.
        allow_rollup_hdrs=rule.schedules,
        compression=StoreCompression.S2 if rule.compressed else None,
        max_consumers=CONSUMERS_MAX,
        num_replicas=replicas,
    )


async def ensure_streams(js: JetStreamContext, shards: int, replicas: int = 1) -> None:
    """Create what is missing and bring the rest up to date. Raises Unavailable.

    Those that are there give way first: no two may hold one subject, and a new stream may take what
    an older Staunch kept in another. A cluster that has just come up, or has lost a leader, answers
    only after its election.
    """
    wished = [config_of(rule, replicas) for rule in rules(shards)]
    found = await _each(lambda config: _found(js, config), wished)
    pairs = list(zip(wished, found, strict=True))
    # A change writes the stream's file anew, and a server must not be killed in the midst.
    late = [config for config, there in pairs if there and _differs(config, there)]
    await _each(js.update_stream, late)
    await _each(js.add_stream, [config for config, there in pairs if not there])


async def _each(
    ask: Callable[[StreamConfig], Awaitable[Said]], configs: Iterable[StreamConfig]
) -> list[Said]:
    """What the server says to each, some at once. Raises Unavailable."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(config: StreamConfig) -> Said:
        async with room:
            return await _patiently(ask, config)

    return await asyncio.gather(*map(one, configs))


async def _patiently(ask: Callable[[StreamConfig], Awaitable[Said]], config: StreamConfig) -> Said:
    try:
        async for attempt in stamina.retry_context(
            on=_is_passing, attempts=None, timeout=ELECTION_S, wait_max=1.0
        ):
            with attempt:
                return await ask(config)
    except NatsError as error:
        said = getattr(error, "description", None) or str(error)
        raise Unavailable(
            f"the nats-server does not keep the stream {config.name}: {said}; it needs JetStream,"
            " version 2.15.1 or newer, room on its disk, and a cluster of as many servers as are to"
            " keep each message (--nats-replicas)"
        ) from error
    raise AssertionError("stamina ends with an answer or an error")


async def _found(js: JetStreamContext, config: StreamConfig) -> StreamConfig | None:
    """What the server has of this name, None if nothing."""
    assert config.name is not None
    try:
        return (await js.stream_info(config.name)).config
    except NotFoundError:
        return None


def _is_passing(error: Exception) -> bool:
    """Whether the same question may get another answer in a moment."""
    known = isinstance(error, APIError) and error.err_code in PASSING
    return known or isinstance(error, NoAnswer)


def _differs(wanted: StreamConfig, found: StreamConfig) -> bool:
    """Whether something that we wish is not so; of the rest the server fills in what it likes.

    What a rule no longer limits is a wish too.
    """
    there, wishes = found.as_dict(), wanted.as_dict()
    freed = {name: there.get(name) for name in UNLESS_WISHED if wishes.get(name) is None}
    if any(value not in UNLESS_WISHED[name] for name, value in freed.items()):
        return True
    return any(there.get(name) != value for name, value in wishes.items() if value is not None)
