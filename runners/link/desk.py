"""The link of a registered runner: it pulls its pool's jobs, and asks at the desk for all else.

Here: the ports over `pipelines.desk`. What a runner may have is the host's to decide; here it is
only asked. Everything but the pulls is a question with one answer, and safe to be asked again.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog
from nats.aio.client import Client
from nats.errors import Error

from pipelines import desk
from pipelines.cache import Entry
from pipelines.codec import encode_input
from pipelines.desk import How, Settling, Standing, Told, Verb
from pipelines.events import JobFinished
from pipelines.job import CancelJob, JobSpec, Lease, LogChunk
from pipelines.priority import LEVELS
from pipelines.shell import Standby
from runners.link.admission import admitted_soon, seed_of
from runners.link.asking import may_be_cut
from runners.link.errors import Errors
from runners.link.nats import CHUNK_OVERHEAD_BYTES, JOBS, consumer_of, spec_of
from runners.link.pulls import Pulls
from runners.link.secrets import SecretsLink
from runners.link.shells import ShellLinks
from runners.membership import Membership
from runners.ports import (
    Conflict,
    Delivery,
    Heartbeat,
    Missing,
    Position,
    Refused,
    TooLarge,
    Unavailable,
)

ANSWER_S = 10.0
DRAINING_S = 1.0
# For so long a server may refuse us: it may have been started anew without its accounts.
REFUSED_S = 10.0

T = TypeVar("T")

log = structlog.get_logger("runners.link")


class DeskLink:
    """JobQueue and LogSink over one connection; CacheIndex for each job is `caches_of`."""

    def __init__(self, client: Client, standing: Standing) -> None:
        self._client = client
        self.standing = standing
        self._pulls = Pulls(client, JOBS, [consumer_of(standing.pool, level) for level in LEVELS])
        self._tokens: dict[str, str] = {}

    @classmethod
    async def connect(
        cls, root: Path, member: Membership, turn_away: Callable[[], None]
    ) -> "DeskLink":
        """As an enrolled runner; waits for a server and a host. Raises Turned.

        `turn_away` is called when the server has refused this runner for a while, later on.
        """
        errors = Errors()
        refused_at: list[float] = []
        made: list[DeskLink] = []

        async def on_error(error: Exception) -> None:
            if said := errors.news_of(error):
                log.warning("link error", error=said)
            if "authorization violation" in str(error).lower() and made:
                refused_at.append(time.monotonic())
                if refused_at[-1] - refused_at[0] > REFUSED_S:
                    said = "not let in any more: it was revoked, or was there for one job only"
                    log.error(said, runner=member.runner)
                    turn_away()

        async def on_disconnect() -> None:
            log.warning("link down, reconnecting")

        async def on_reconnect() -> None:
            log.info("link up again")
            refused_at.clear()
            for link in made:
                link._pulls.forget()

        client = await admitted_soon(
            member,
            seed_of(root),
            on_error=on_error,
            disconnected_cb=on_disconnect,
            reconnected_cb=on_reconnect,
        )
        while True:
            try:
                standing = await ask(client, member.runner, Verb.STAND, desk.StandAsked(), Standing)
                break
            except (Unavailable, Refused) as reason:
                log.warning("waiting for the host", reason=str(reason))
                await asyncio.sleep(DRAINING_S)
        link = cls(client, standing)
        made.append(link)
        await link._pulls.start()
        return link

    async def close(self) -> None:
        """Send what is buffered, for a moment, and go."""
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._client.flush(), 0.5)
        await self._client.close()

    def secrets_of(self, runner: str, root: Path) -> SecretsLink:
        """Who opens secrets for the runner whose data is there."""
        return SecretsLink(self._client, runner=runner, root=root)

    def shells_of(self, runner: str) -> ShellLinks:
        """How this runner hears of terminals in its jobs."""

        async def stand_by(standby: Standby) -> None:
            with _as_unavailable():
                await self.ask(Verb.STAND_BY, desk.StandingBy(standby=standby), type(None))

        return ShellLinks(self._client, stand_by, runner=runner)

    async def ask(
        self, verb: Verb, asked: msgspec.Struct, form: type[T], timeout_s: float = ANSWER_S
    ) -> T:
        """One question. Raises Refused, Conflict, Missing, Unavailable."""
        return await ask(self._client, self.standing.runner, verb, asked, form, timeout_s)

    # -- JobQueue

    async def next(self) -> Delivery | None:
        """The most important that is there; none while this runner is being drained."""
        if self.standing.is_draining:
            await asyncio.sleep(DRAINING_S)
            return None
        message = await self._pulls.next()
        if message is None:
            return None
        try:
            spec: JobSpec = spec_of(message.data)
        except ValueError as error:
            log.exception("unreadable job left where it is", error=str(error))
            return None
        self._tokens[spec.id] = message.reply
        token = f"{spec.id} {message.reply}"
        if self.standing.is_draining:
            await self.later(token, 0.0)
            return None
        return Delivery(spec=spec, token=token)

    async def claim(self, lease: Lease) -> Lease:
        """The host makes the lease, of what it finds in the queue."""
        asked = desk.ClaimAsked(token=self._tokens.pop(lease.job, ""), lease=lease)
        try:
            return await self.ask(Verb.CLAIM, asked, Lease)
        except Refused as refused:
            raise Unavailable(str(refused)) from refused

    async def hold(self, token: str) -> None:
        """Restarts the acknowledgement's clock."""
        await self._settle(token, Settling.HOLD)

    async def done(self, token: str) -> None:
        """Takes the message off the queue, if the job is ours or its holder is gone."""
        await self._settle(token, Settling.DONE)

    async def later(self, token: str, delay_s: float) -> None:
        """Gives the message back."""
        await self._settle(token, Settling.LATER, delay_s)

    async def _settle(self, token: str, how: Settling, delay_s: float = 0.0) -> None:
        job, _, delivery = token.partition(" ")
        asked = desk.SettleAsked(token=delivery, job=job, how=how, delay_s=delay_s)
        with _as_unavailable():
            await self.ask(Verb.SETTLE, asked, type(None))

    async def cancel_of(self, job: str) -> CancelJob | None:
        """The stored wish, of a job of ours."""
        with _as_unavailable():
            return (await self.ask(Verb.CANCEL_OF, desk.JobAsked(job=job), desk.CancelFound)).wish

    async def cancel(self, wish: CancelJob) -> None:
        """Left to the host: `done` of a job whose holder is gone does it."""

    async def cancels(self) -> AsyncIterator[CancelJob]:
        """What the host tells of jobs of ours."""
        subscription = await self._client.subscribe(desk.telling(self.standing.runner))
        async for message in subscription.messages:
            with contextlib.suppress(msgspec.MsgspecError):
                yield msgspec.json.decode(message.data, type=CancelJob)

    async def finish(self, report: JobFinished, run: str) -> None:
        """Of a job of ours. That another's is lost, the host finds out by itself: see `done`."""
        asked = desk.FinishAsked(job=report.job, report=encode_input(report))
        with _as_unavailable():
            await self.ask(Verb.FINISH, asked, type(None))

    async def beat(self, heartbeat: Heartbeat) -> None:
        """Answered with what the host knows of us, by which we learn that we are drained."""
        asked = desk.BeatAsked(
            slots=heartbeat.slots, version=heartbeat.version, moving=heartbeat.moving
        )
        with _as_unavailable():
            self.standing = await self.ask(Verb.BEAT, asked, Standing)

    async def beats(self) -> AsyncIterator[Heartbeat]:
        """A plain subscription to what is stored."""
        subscription = await self._client.subscribe("runner.*")
        async for message in subscription.messages:
            with contextlib.suppress(msgspec.MsgspecError):
                yield msgspec.json.decode(message.data, type=Heartbeat)

    async def source(self, job: str, haves: list[str]) -> desk.SourceTold:
        """The commit of a job, as a pack in pieces."""
        asked = desk.SourceAsked(job=job, haves=haves)
        return await self.ask(Verb.SOURCE, asked, desk.SourceTold)

    async def release(self) -> None:
        """No further job is handed out."""
        await self._pulls.release()

    # -- LogSink

    async def end_of(self, job: str) -> Position:
        """Where the stored log ends."""
        with _as_unavailable():
            end = await self.ask(Verb.LOG_END, desk.JobAsked(job=job), desk.LogEnd)
        return Position(sequence=end.sequence, offset=end.offset, kept=end.is_kept)

    async def append(self, job: str, chunk: LogChunk, after: int) -> int:
        """One message, only directly after `after` on its subject."""
        if len(msgspec.json.encode(chunk)) + CHUNK_OVERHEAD_BYTES > self._client.max_payload:
            raise TooLarge
        asked = desk.AppendAsked(job=job, chunk=chunk, after=after)
        with _as_unavailable():
            return await self.ask(Verb.LOG_APPEND, asked, int)

    # -- CacheIndex

    async def newest(self, job: str, subject: str) -> Entry | None:
        """The newest that matches."""
        with _as_unavailable():
            asked = desk.CacheAsked(job=job, subject=subject)
            return await self.ask(Verb.CACHE_NEWEST, asked, Entry | None)  # type: ignore[arg-type]

    async def keep(self, job: str, subject: str, entry: Entry) -> None:
        """Newest per subject."""
        asked = desk.CacheKept(job=job, subject=subject, entry=msgspec.json.encode(entry))
        with _as_unavailable():
            await self.ask(Verb.CACHE_KEEP, asked, type(None))


async def ask(
    client: Client,
    runner: str,
    verb: Verb,
    asked: msgspec.Struct,
    form: type[T],
    timeout_s: float = ANSWER_S,
) -> T:
    """One question at the desk. Raises Refused, Conflict, Missing, Unavailable."""
    subject = desk.asking(runner, verb)
    try:
        with may_be_cut():
            content = msgspec.msgpack.encode(asked)
            answer = await client.request(subject, content, timeout=timeout_s)
        told = msgspec.msgpack.decode(answer.data, type=Told)
    except (Error, TimeoutError, msgspec.MsgspecError) as error:
        raise Unavailable(f"{verb}: {error or type(error).__name__}") from error
    match told.how:
        case How.DONE:
            return msgspec.msgpack.decode(told.body, type=form)
        case How.REFUSED:
            raise Refused(told.said)
        case How.CONFLICT:
            raise Conflict(told.said)
        case How.MISSING:
            raise Missing(told.said)
        case _:
            raise Unavailable(f"{verb}: {told.said}")


@contextlib.contextmanager
def _as_unavailable() -> Any:  # noqa: ANN401  a generator of nothing
    """A refusal where the port knows none: the host may know better in a moment."""
    try:
        yield
    except (Refused, Missing) as refused:
        raise Unavailable(str(refused)) from refused
