"""The agent's side of the bus: JetStream behind the ports. Subjects and rules: docs/bus.md.

Here: every subject and header that a runner uses. Not here: any decision. The client reconnects for
ever by itself; what was in flight then is not replayed by it, so each call may raise Unavailable.
"""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError

from pipelines.codec import encode_input
from pipelines.events import JobFinished
from pipelines.ids import RunId, shard_of
from pipelines.job import CancelJob, JobSpec, Lease, LogChunk
from pipelines.priority import LEVELS, Priority
from runners.link.pulls import Pulls
from runners.ports import Conflict, Delivery, Heartbeat, Position, TooLarge, Unavailable

# Less than a lease: when a runner's silence is long enough, its jobs are before others again.
ACK_WAIT_S = 12.0
ANSWER_S = 5.0
WRONG_LAST_SEQUENCE = 10071
CONSUMER_MISSING = (10014, 10059)
CHUNK_OVERHEAD_BYTES = 1024
EXPECTED = "Nats-Expected-Last-Subject-Sequence"

JOBS, LEASES, CANCELS, LOGS = "JOBS", "LEASES", "CANCELS", "LOGS"

JOB_ID = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[0-9]+\Z")

log = structlog.get_logger("runners.link")


class _Refusal(Exception):
    """JetStream answered with an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code


class NatsLink:
    """JobQueue and LogSink over one connection."""

    def __init__(self, client: Client, *, pool: str) -> None:
        self._client = client
        self._pool = pool
        self._pulls = Pulls(client, JOBS, [consumer_of(pool, level) for level in LEVELS])
        self._limits: set[asyncio.Timeout] = set()

    @classmethod
    async def connect(cls, url: str, *, pool: str, name: str) -> "NatsLink":
        """Connect, waiting for a server that is not up yet, and see that the consumer exists."""

        async def on_error(error: Exception) -> None:
            log.warning("link error", error=str(error) or type(error).__name__)

        async def on_disconnect() -> None:
            log.warning("link down, reconnecting")
            link._give_up_requests()

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
            await self._api(f"CONSUMER.CREATE.{JOBS}.{consumer}.{queue}", wish)
        except _Refusal as refusal:
            raise Unavailable(f"the queue cannot be used: {refusal}") from refusal

    async def _consumer_config(self, consumer: str) -> dict[str, Any] | None:
        try:
            answer = await self._api(f"CONSUMER.INFO.{JOBS}.{consumer}", {})
        except _Refusal as refusal:
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
            spec = _spec_of(message.data)
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
            await self._publish(subject, msgspec.json.encode(lease), {EXPECTED: "0"})
        except Conflict:
            stored = await self._last(LEASES, subject)
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
            await self._request(token, b"+ACK")
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
        stored = await self._last(CANCELS, f"cancel.{job}")
        return None if stored is None else msgspec.json.decode(stored.data, type=CancelJob)

    async def cancel(self, wish: CancelJob) -> None:
        """Newest per subject."""
        await self._publish(f"cancel.{wish.job}", msgspec.json.encode(wish), {})

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
        await self._publish(subject, encode_input(report), {"Nats-Msg-Id": message_id})

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Newest per subject."""
        await self._publish(f"runner.{heartbeat.runner}", msgspec.json.encode(heartbeat), {})

    async def beats(self) -> AsyncIterator[Heartbeat]:
        """A plain subscription to what is stored: a stored one from long ago says nothing."""
        subscription = await self._client.subscribe("runner.*")
        async for message in subscription.messages:
            with contextlib.suppress(msgspec.MsgspecError):
                yield msgspec.json.decode(message.data, type=Heartbeat)

    async def release(self) -> None:
        """No further job is handed out."""
        await self._pulls.release()

    # -- LogSink

    async def end_of(self, job: str) -> Position:
        """Read off the last stored chunk."""
        stored = await self._last(LOGS, f"log.{job}")
        if stored is None:
            return Position()
        chunk = msgspec.json.decode(stored.data, type=LogChunk)
        return Position(sequence=stored.sequence, offset=chunk.offset + chunk.size)

    async def append(self, job: str, chunk: LogChunk, after: int) -> int:
        """One message, only directly after `after` on its subject."""
        content = msgspec.json.encode(chunk)
        if len(content) + CHUNK_OVERHEAD_BYTES > self._client.max_payload:
            raise TooLarge
        return await self._publish(f"log.{job}", content, {EXPECTED: str(after)})

    # -- JetStream

    async def _request(
        self, subject: str, content: bytes, headers: dict[str, str] | None = None
    ) -> Msg:
        async with asyncio.timeout(ANSWER_S) as limit:
            self._limits.add(limit)
            try:
                return await self._client.request(
                    subject, content, timeout=2 * ANSWER_S, headers=headers or None
                )
            finally:
                self._limits.discard(limit)

    def _give_up_requests(self) -> None:
        """No answer can come over a lost connection: time out now what waits for one."""
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(now)

    async def _publish(self, subject: str, content: bytes, headers: dict[str, str]) -> int:
        try:
            answer = await self._request(subject, content, headers)
        except (Error, TimeoutError) as error:
            raise Unavailable(f"{subject}: {error or type(error).__name__}") from error
        try:
            return int(_answer_of(answer)["seq"])
        except _Refusal as refusal:
            if refusal.code == WRONG_LAST_SEQUENCE:
                raise Conflict(f"{subject}: {refusal}") from refusal
            raise Unavailable(f"{subject}: {refusal}") from refusal

    async def _last(self, stream: str, subject: str) -> "_Stored | None":
        """The newest message of a subject, by direct get, so a grant can name the subject."""
        try:
            answer = await self._request(f"$JS.API.DIRECT.GET.{stream}.{subject}", b"")
        except NoRespondersError as error:
            raise Unavailable(f"{stream} is not there, or has no direct get") from error
        except (Error, TimeoutError) as error:
            raise Unavailable(f"{stream}: {error or type(error).__name__}") from error
        headers = answer.headers or {}
        status = headers.get("Status")
        if status == "404":
            return None
        if status is not None:
            raise Unavailable(f"{stream}: {status} {headers.get('Description', '')}")
        return _Stored(data=answer.data, sequence=int(headers["Nats-Sequence"]))

    async def _api(self, subject: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = await self._request(f"$JS.API.{subject}", json.dumps(body).encode())
        except (Error, TimeoutError) as error:
            raise Unavailable(f"{subject}: {error or type(error).__name__}") from error
        return _answer_of(answer)


def queue_of(pool: str, level: Priority) -> str:
    """The subject of a pool's jobs of this priority."""
    return f"jobs.{pool}" if level is Priority.NORMAL else f"jobs.{pool}.{level}"


def consumer_of(pool: str, level: Priority) -> str:
    """The consumer of such a queue. A pool may have any name with dashes, so the level is first."""
    return f"runners-{pool}" if level is Priority.NORMAL else f"{level}-runners-{pool}"


class _Stored(msgspec.Struct, frozen=True):
    data: bytes
    sequence: int


def _spec_of(content: bytes) -> JobSpec:
    """Raises ValueError also where the id could not be a directory's name and a subject."""
    spec = msgspec.json.decode(content, type=JobSpec)
    shard_of(RunId(spec.run))
    if not JOB_ID.match(spec.id):
        raise ValueError(f"{spec.id!r} is no job id")
    return spec


def _answer_of(message: Msg) -> dict[str, Any]:
    answer = json.loads(message.data)
    assert isinstance(answer, dict)
    if "error" in answer:
        error = answer["error"]
        raise _Refusal(int(error.get("err_code", 0)), str(error.get("description", "")))
    return answer
