"""NatsDeskBus: the queue, leases, logs and caches, as the desk of registered Runners needs them.

See DeskBus. Subjects and rules are those of docs/bus.md; a Runner of the host's own machine uses
the same ones itself.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import msgspec
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, expected
from ci_host.ports import Unavailable
from pipelines import shell
from pipelines.cache import Entry
from pipelines.desk import BeatAsked, LogEnd, Settling
from pipelines.job import CancelJob, JobSpec, Lease, LogChunk
from pipelines.priority import LEVELS
from pipelines.shell import Standby

# As runners of the host's own machine make them: either may be the first.
ACK_WAIT_S = 12.0
PENDING_MAX = 10_000
# `$JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<…>.<…>.<…>`; the newer form has the domain
# and the account's hash before the stream, and perhaps more at the end.
OLD_TOKENS, NEW_TOKENS = 9, 11

T = TypeVar("T")


class NatsDeskBus:
    """Over the installation's own connection."""

    def __init__(self, bus: Bus, now: Callable[[], float]) -> None:
        self._bus = bus
        self._now = now

    async def prepare(self, pool: str) -> None:
        for level in LEVELS:
            name, queue = subjects.job_consumer(pool, level), subjects.job_queue(pool, level)
            try:
                await self._ensure(name, queue)
            except (NatsError, TimeoutError) as error:
                raise Unavailable(f"queue {queue} cannot be prepared: {error}") from error

    async def _ensure(self, name: str, queue: str) -> None:
        with suppress(NotFoundError):
            await self._bus.js.consumer_info(subjects.JOBS, name)
            return
        config = ConsumerConfig(
            durable_name=name,
            name=name,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_deliver=-1,
            max_ack_pending=PENDING_MAX,
            filter_subject=queue,
        )
        await self._bus.js.add_consumer(subjects.JOBS, config)

    async def offered(self, token: str, pool: str) -> JobSpec | None:
        found = _delivery_in(token)
        if found is None:
            return None
        consumer, sequence = found
        if consumer not in {subjects.job_consumer(pool, level) for level in LEVELS}:
            return None
        stored = await self._bus.at(subjects.JOBS, sequence)
        queues = {subjects.job_queue(pool, level) for level in LEVELS}
        if stored is None or stored.subject not in queues:
            return None
        return msgspec.json.decode(stored.body, type=JobSpec)

    async def settle(self, token: str, how: Settling, delay_s: float) -> None:
        match how:
            case Settling.HOLD:
                await self._bus.hint(token, b"+WPI")
            case Settling.LATER:
                nanoseconds = int(min(max(delay_s, 0.0), ACK_WAIT_S) * 1e9)
                await self._bus.hint(token, b'-NAK {"delay": %d}' % nanoseconds)
            case Settling.DONE:
                await self._bus.request(token, b"+ACK")

    async def lease(self, job: str) -> Lease | None:
        return await self._last(subjects.LEASES, f"lease.{job}", Lease)

    async def claim(self, lease: Lease) -> Lease:
        if await self._bus.put_once(f"lease.{lease.job}", msgspec.json.encode(lease)):
            return lease
        stored = await self._bus.newest(subjects.LEASES, f"lease.{lease.job}")
        if stored is None:
            raise Unavailable(f"the lease of {lease.job} was refused and is not there")
        return msgspec.json.decode(stored.body, type=Lease)

    async def beat(self, runner: str, pool: str, asked: BeatAsked) -> None:
        beat = {
            "runner": runner,
            "pools": [pool],
            "at": self._now(),
            "slots": asked.slots,
            "version": asked.version,
            "moving": asked.moving,
        }
        await self._bus.publish(f"runner.{runner}", msgspec.json.encode(beat))

    async def forget(self, runner: str) -> None:
        await self._bus.purge(subjects.RUNNERS, f"runner.{runner}")

    async def heard_at(self, runner: str) -> float | None:
        stored = await self._bus.last(subjects.RUNNERS, f"runner.{runner}")
        return None if stored is None else stored.at

    async def cancel_of(self, job: str) -> CancelJob | None:
        return await self._last(subjects.CANCELS, f"cancel.{job}", CancelJob)

    async def cancel(self, wish: CancelJob) -> None:
        await self._bus.publish(f"cancel.{wish.job}", msgspec.json.encode(wish))

    async def stand_by(self, standby: Standby) -> None:
        await self._bus.publish(shell.state(standby.job), msgspec.json.encode(standby))

    async def log_end(self, job: str) -> LogEnd:
        stored = await self._bus.last(subjects.LOGS, f"log.{job}")
        if stored is None:
            return LogEnd()
        chunk = msgspec.json.decode(stored.body, type=LogChunk)
        end = chunk.offset + chunk.size
        return LogEnd(sequence=stored.sequence, offset=end, is_kept=bool(chunk.kept))

    async def append(self, job: str, chunk: LogChunk, after: int) -> int:
        content = msgspec.json.encode(chunk)
        return (await self._bus.publish(f"log.{job}", content, expected(after))).seq

    async def newest(self, subject: str) -> Entry | None:
        return await self._last(subjects.CACHES, subject, Entry)

    async def keep(self, subject: str, entry: Entry) -> None:
        await self._bus.publish(subject, msgspec.json.encode(entry))

    async def _last(self, stream: str, subject: str, form: type[T]) -> T | None:
        stored = await self._bus.last(stream, subject)
        return None if stored is None else msgspec.json.decode(stored.body, type=form)


def _delivery_in(token: str) -> tuple[str, int] | None:
    """The consumer and the sequence of a delivery of JOBS; None for anything else."""
    words = token.split(".")
    if words[:2] != ["$JS", "ACK"] or any(set(word) & set("*> \t\r\n") for word in words):
        return None
    tail = words[2:] if len(words) == OLD_TOKENS else words[4:]
    if len(words) not in (OLD_TOKENS, NEW_TOKENS, NEW_TOKENS + 1) or tail[0] != subjects.JOBS:
        return None
    return (tail[1], int(tail[3])) if tail[3].isascii() and tail[3].isdigit() else None
