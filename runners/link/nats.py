"""The agent's side of the bus: JetStream behind the ports. Subjects and rules: docs/bus.md.

Here: every subject and header that a runner uses. Not here: any decision. The client reconnects for
ever by itself; what was in flight then is not replayed by it, so each call may raise Unavailable.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from pipelines import shell
from pipelines.cache import Entry
from pipelines.codec import encode_input
from pipelines.events import JobFinished
from pipelines.ids import RunId, shard_of
from pipelines.job import CancelJob, JobSpec, Lease, LogChunk
from pipelines.priority import LEVELS, Priority
from pipelines.shell import Standby
from runners.link.errors import Errors
from runners.link.jetstream import JetStream, Refusal
from runners.link.pulls import Pulls
from runners.link.secrets import SecretsLink
from runners.link.shells import ShellLinks
from runners.ports import Conflict, Delivery, Heartbeat, Position, TooLarge, Unavailable

# Less than a lease: when a runner's silence is long enough, its jobs are before others again.
ACK_WAIT_S = 12.0
ANSWER_S = 5.0
WRONG_LAST_SEQUENCE = 10071
CONSUMER_MISSING = (10014, 10059)
CHUNK_OVERHEAD_BYTES = 1024
EXPECTED = "Nats-Expected-Last-Subject-Sequence"

JOBS, LEASES, CANCELS, LOGS, CACHES = "JOBS", "LEASES", "CANCELS", "LOGS", "CACHES"

JOB_ID = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[0-9]+\Z")

log = structlog.get_logger("runners.link")


class NatsLink:
    """JobQueue, LogSink and CacheIndex over one connection."""

    def __init__(self, client: Client, *, pool: str) -> None:
        self._client = client
        self._pool = pool
        self._pulls = Pulls(client, JOBS, [consumer_of(pool, level) for level in LEVELS])
        self._stream = JetStream(client)

    @classmethod
    async def connect(cls, url: str, *, pool: str, name: str) -> "NatsLink":
        """Connect, waiting for a server that is not up yet, and see that the consumer exists."""

        errors = Errors()

        async def on_error(error: Exception) -> None:
            if said := errors.news_of(error):
                log.warning("link error", error=said)

        async def on_disconnect() -> None:
            log.warning("link down, reconnecting")
            link._stream.give_up_requests()

        async def on_reconnect() -> None:
            log.info("link up again")
            link._pulls.forget()

        client = Client()
        link = cls(client, pool=pool)
        await client.connect(
            url.split(","),
            name=name,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1,  # type: ignore[arg-type]  # the client takes fractions
            connect_timeout=2,
            ping_interval=10,
            error_cb=on_error,
            disconnected_cb=on_disconnect,
            reconnected_cb=on_reconnect,
        )
        await link._pulls.start()
        return link

    def secrets_of(self, runner: str, root: Path) -> SecretsLink:
        """Who opens secrets for the runner whose data is there."""
        return SecretsLink(self._client, runner=runner, root=root)

    def shells_of(self, runner: str) -> ShellLinks:
        """How this runner hears of terminals in its jobs."""

        async def stand_by(standby: Standby) -> None:
            state = shell.state(standby.job)
            await self._stream.publish(state, msgspec.json.encode(standby), {})

        return ShellLinks(self._client, stand_by, runner=runner)

    async def close(self) -> None:
        """Send what is buffered, for a moment, and go."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._client.flush(), 0.5)
        await self._client.close()

    # -- JobQueue

    async def ensure_consumers(self) -> None:
        """Create the pool's durable consumers where they are missing; one of an older release is
        brought to this one's rules."""
        for level in LEVELS:
            await self._ensure_consumer(consumer_of(self._pool, level), queue_of(self._pool, level))

    async def _ensure_consumer(self, consumer: str, queue: str) -> None:
        config = {
            "durable_name": consumer,
            "name": consumer,
            "ack_policy": "explicit",
            "ack_wait": int(ACK_WAIT_S * 1e9),
            "max_deliver": -1,
            "max_ack_pending": 10_000,
            "filter_subject": queue,
        }
        try:
            there = await self._consumer_config(consumer)
            if there is not None and there.items() >= config.items():
                return
            wish = {"stream_name": JOBS, "config": {**(there or {}), **config}}
            await self._stream.api(f"CONSUMER.CREATE.{JOBS}.{consumer}.{queue}", wish)
        except Refusal as refusal:
            raise Unavailable(f"the queue cannot be used: {refusal}") from refusal

    async def _consumer_config(self, consumer: str) -> dict[str, Any] | None:
        try:
            answer = await self._stream.api(f"CONSUMER.INFO.{JOBS}.{consumer}", {})
        except Refusal as refusal:
            if refusal.code in CONSUMER_MISSING:
                return None
            raise
        config: dict[str, Any] = answer["config"]
        return config

    async def next(self) -> Delivery | None:
        """The most important that is there, or the first that comes within a while."""
        message = await self._pulls.next()
        return None if message is None else await self._read(message)

    async def _read(self, message: Msg) -> Delivery | None:
        try:
            spec = spec_of(message.data)
        except ValueError as error:
            # It can never become readable: kept, it would be delivered for ever.
            log.exception("unreadable job dropped", error=str(error))
            await self._settle(message.reply, b"+TERM")
            return None
        return Delivery(spec=spec, token=message.reply)

    async def claim(self, lease: Lease) -> Lease:
        """Create-only; the loser reads who was first."""
        subject = f"lease.{lease.job}"
        try:
            await self._stream.publish(subject, msgspec.json.encode(lease), {EXPECTED: "0"})
        except Conflict:
            stored = await self._stream.last(LEASES, subject)
            if stored is None:
                raise Unavailable(f"{subject} was refused and is not there") from None
            return msgspec.json.decode(stored.data, type=Lease)
        return lease

    async def hold(self, token: str) -> None:
        """Restarts the acknowledgement's clock."""
        await self._settle(token, b"+WPI")

    async def done(self, token: str) -> None:
        """Takes the message off the work queue; answered, so that it surely arrived."""
        try:
            await self._stream.request(token, b"+ACK")
        except (Error, TimeoutError) as error:
            raise Unavailable(str(error)) from error

    async def later(self, token: str, delay_s: float) -> None:
        """Gives the message back."""
        await self._settle(token, b'-NAK {"delay": %d}' % int(delay_s * 1e9))

    async def _settle(self, token: str, verb: bytes) -> None:
        try:
            await self._client.publish(token, verb)
        except Error as error:
            raise Unavailable(str(error)) from error

    async def cancel_of(self, job: str) -> CancelJob | None:
        """The newest wish of this subject."""
        stored = await self._stream.last(CANCELS, f"cancel.{job}")
        return None if stored is None else msgspec.json.decode(stored.data, type=CancelJob)

    async def cancel(self, wish: CancelJob) -> None:
        """Newest per subject."""
        await self._stream.publish(f"cancel.{wish.job}", msgspec.json.encode(wish), {})

    async def cancels(self) -> AsyncIterator[CancelJob]:
        """What is published on the stream's subjects also reaches a plain subscriber, at once."""
        subscription = await self._client.subscribe("cancel.>")
        async for message in subscription.messages:
            with contextlib.suppress(msgspec.MsgspecError):
                yield msgspec.json.decode(message.data, type=CancelJob)

    async def finish(self, report: JobFinished, run: str) -> None:
        """The message id only saves a repeat; the History drops it by (key, attempt)."""
        subject = f"run.{shard_of(RunId(run))}.{run}.in"
        message_id = f"{report.job}:finished:{report.runner}:{report.outcome}"
        await self._stream.publish(subject, encode_input(report), {"Nats-Msg-Id": message_id})

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Newest per subject."""
        await self._stream.publish(f"runner.{heartbeat.runner}", msgspec.json.encode(heartbeat), {})

    async def beats(self) -> AsyncIterator[Heartbeat]:
        """A plain subscription to what is stored: a stored one from long ago says nothing."""
        subscription = await self._client.subscribe("runner.*")
        async for message in subscription.messages:
            with contextlib.suppress(msgspec.MsgspecError):
                yield msgspec.json.decode(message.data, type=Heartbeat)

    async def release(self) -> None:
        """No further job is handed out."""
        await self._pulls.release()

    # -- CacheIndex

    async def newest(self, job: str, subject: str) -> Entry | None:
        """Direct get answers a pattern with the newest that matches it."""
        stored = await self._stream.last(CACHES, subject)
        return None if stored is None else msgspec.json.decode(stored.data, type=Entry)

    async def keep(self, job: str, subject: str, entry: Entry) -> None:
        """Newest per subject."""
        await self._stream.publish(subject, msgspec.json.encode(entry), {})

    # -- LogSink

    async def end_of(self, job: str) -> Position:
        """Read off the last stored chunk."""
        stored = await self._stream.last(LOGS, f"log.{job}")
        if stored is None:
            return Position()
        chunk = msgspec.json.decode(stored.data, type=LogChunk)
        end = chunk.offset + chunk.size
        return Position(sequence=stored.sequence, offset=end, kept=bool(chunk.kept))

    async def append(self, job: str, chunk: LogChunk, after: int) -> int:
        """One message, only directly after `after` on its subject."""
        content = msgspec.json.encode(chunk)
        if len(content) + CHUNK_OVERHEAD_BYTES > self._client.max_payload:
            raise TooLarge
        return await self._stream.publish(f"log.{job}", content, {EXPECTED: str(after)})


def queue_of(pool: str, level: Priority) -> str:
    """The subject of a pool's jobs of this priority."""
    return f"jobs.{pool}" if level is Priority.NORMAL else f"jobs.{pool}.{level}"


def consumer_of(pool: str, level: Priority) -> str:
    """The consumer of such a queue. A pool may have any name with dashes, so the level is first."""
    return f"runners-{pool}" if level is Priority.NORMAL else f"{level}-runners-{pool}"


def spec_of(content: bytes) -> JobSpec:
    """The job of a message.

    Raises ValueError also where its id could not be a directory's name and a subject.
    """
    spec = msgspec.json.decode(content, type=JobSpec)
    shard_of(RunId(spec.run))
    if not JOB_ID.match(spec.id):
        raise ValueError(f"{spec.id!r} is no job id")
    return spec
