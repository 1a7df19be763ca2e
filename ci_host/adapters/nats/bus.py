"""Bus: one connection to JetStream, and the five raw calls that the adapters are made of.

Raw, because the client library has no batch read, no expected-sequence answer without an exception
tree, and no schedules. Everything here turns the server's answers into the ports' three errors.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from ci_host.adapters.nats.client import BusClient
from ci_host.adapters.nats.replies import Replies
from ci_host.ports import Conflict, Unavailable

REQUEST_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 10.0
BATCH_MAX = 1_000
LASTS_MAX = 500
WRONG_LAST_SEQUENCE = 10071
# Of a cluster: another write of the same subject, or under the same id, is still being agreed on.
# It may come to nothing, so whoever asked has to ask again.
UNDER_WAY = {10158, 10164}
EXPECTED = "Nats-Expected-Last-Subject-Sequence"
MESSAGE_ID = "Nats-Msg-Id"

log = structlog.get_logger()


class ApiError(msgspec.Struct, frozen=True):
    """The server's way of saying no."""

    code: int = 0
    err_code: int = 0
    description: str = ""


class PublishAck(msgspec.Struct, frozen=True):
    """The server's answer to a publish into a stream."""

    seq: int = 0
    duplicate: bool = False
    error: ApiError | None = None


class StreamState(msgspec.Struct, frozen=True):
    """What a stream's server says of its messages."""

    last_seq: int = 0


class StreamInfo(msgspec.Struct, frozen=True):
    """What a stream's server says of it, and of the time, as RFC 3339."""

    ts: str = ""
    state: StreamState = StreamState()
    error: ApiError | None = None


class LeadersMessage(msgspec.Struct, frozen=True):
    """A stored message as the leader of its stream shows it."""

    subject: str
    seq: int
    time: str
    data: bytes = b""


class LeadersAnswer(msgspec.Struct, frozen=True):
    """What the leader of a stream says when it is asked for a message."""

    message: LeadersMessage | None = None
    error: ApiError | None = None


class Refused(Exception):
    """The server will not do it, now or later: no space, a limit, a wrong configuration."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One message as read back from a stream; `at` is the server's time in seconds."""

    subject: str
    sequence: int
    at: float
    body: bytes
    headers: Mapping[str, str]


def stored_at(text: str) -> float:
    """The server's RFC 3339 time with nanoseconds, as seconds since the epoch."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(f"{whole}+00:00").timestamp()
    return seconds + (float(f"0.{fraction}") if fraction else 0.0)


def clock_of(nanoseconds: int) -> float:
    """The server's time as a consumer tells it: to the last bit what `stored_at` makes of it."""
    whole, fraction = divmod(nanoseconds, 1_000_000_000)
    return whole + float(f"0.{fraction:09}")


def expected(sequence: int) -> dict[str, str]:
    """The header that makes a publish conditional on the subject's newest sequence."""
    return {EXPECTED: str(sequence)}


class Bus:
    """A connection that reconnects for ever. Use `connect`; one per process is enough."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.name = name
        self.js: JetStreamContext = client.jetstream(timeout=REQUEST_TIMEOUT_S)
        self._replies = Replies(client, REQUEST_TIMEOUT_S)
        self._ack = msgspec.json.Decoder(PublishAck)
        self._on_reconnect: list[Callable[[], None]] = []
        self._closing = False

    def server_version(self) -> str:
        """Of the server that it is connected to, or was last."""
        told = self.client.connected_server_version
        return f"{told.major}.{told.minor}.{told.patch}"

    def on_reconnect(self, call: Callable[[], None]) -> Callable[[], None]:
        """Have `call` called after each reconnect; answers how to end that."""
        self._on_reconnect.append(call)
        return lambda: self._on_reconnect.remove(call)

    async def reconnected(self) -> None:
        """The connection is back, perhaps to another life of the server."""
        log.info("nats_reconnected", name=self.name)
        self._replies.back()
        for call in list(self._on_reconnect):
            call()

    async def disconnected(self) -> None:
        """The connection is gone for now: whoever waits for an answer hears it at once."""
        self._replies.lost()
        if not self._closing:
            log.warning("nats_disconnected", name=self.name)

    async def start(self) -> None:
        """Listen for replies."""
        await self._replies.start()

    async def request(
        self, subject: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Msg:
        """One request, one answer. Raises Unavailable: none comes, or the connection is lost."""
        return await self._replies.one(subject, body, headers)

    async def publish(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None
    ) -> PublishAck:
        """Store a message; it is durable when this returns.

        Raises Conflict (the expected sequence is not the newest), Unavailable, Refused.
        """
        answer = await self.request(subject, body, headers)
        ack = self._ack.decode(answer.data)
        if ack.error is None:
            return ack
        if ack.error.err_code == WRONG_LAST_SEQUENCE:
            raise Conflict(f"{subject}: {ack.error.description}")
        if ack.error.code == 503 or ack.error.err_code in UNDER_WAY:
            raise Unavailable(f"{subject}: {ack.error.description}")
        raise Refused(f"{subject}: {ack.error.description} ({ack.error.err_code})")

    async def time(self, stream: str) -> float:
        """What time it is for the server that leads a stream. Raises Unavailable."""
        return stored_at((await self._info(stream)).ts)

    async def newest_sequence(self, stream: str) -> int:
        """How many messages were ever stored in a stream. Raises Unavailable."""
        return (await self._info(stream)).state.last_seq

    async def _info(self, stream: str) -> StreamInfo:
        answer = await self.request(f"$JS.API.STREAM.INFO.{stream}")
        told = msgspec.json.decode(answer.data, type=StreamInfo)
        if told.error is not None:
            raise Unavailable(f"{stream}: {told.error.description}")
        return told

    async def hint(self, subject: str, body: bytes = b"") -> None:
        """Tell whoever listens just now; nobody may depend on it."""
        try:
            await self.client.publish(subject, body)
        except NatsError as error:
            log.debug("hint_lost", subject=subject, error=repr(error))

    async def put_once(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None
    ) -> bool:
        """Store the first message of a subject; False if there is one already."""
        try:
            await self.publish(subject, body, {**expected(0), **(headers or {})})
        except Conflict:
            return False
        return True

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The newest message of a subject, or None."""
        return self._one(await self.request(f"$JS.API.DIRECT.GET.{stream}.{subject}"), subject)

    async def last_of(self, stream: str, pattern: str) -> Stored | None:
        """The newest message of all subjects of a pattern, or None."""
        wish = msgspec.json.encode({"last_by_subj": pattern})
        return self._one(await self.request(f"$JS.API.DIRECT.GET.{stream}", wish), pattern)

    async def newest(self, stream: str, subject: str) -> Stored | None:
        """As `last`, but the leader's own answer: of a cluster, any server may give `last`, also
        one that does not have the newest yet."""
        return await self._ask_leader(stream, {"last_by_subj": subject})

    async def at(self, stream: str, sequence: int) -> Stored | None:
        """The message with this sequence, if it is there, as the leader knows it."""
        return await self._ask_leader(stream, {"seq": sequence})

    async def _ask_leader(self, stream: str, wish: dict[str, str | int]) -> Stored | None:
        answer = await self.request(f"$JS.API.STREAM.MSG.GET.{stream}", msgspec.json.encode(wish))
        found = msgspec.json.decode(answer.data, type=LeadersAnswer)
        if found.error is not None and found.error.code != 404:
            raise Unavailable(f"{stream}: {found.error.description}")
        message = found.message
        if message is None:
            return None
        return Stored(message.subject, message.seq, stored_at(message.time), message.data, {})

    async def lasts(self, stream: str, names: Sequence[str]) -> list[Stored]:
        """The newest message of each of these subjects that has one; at most LASTS_MAX of them."""
        assert len(names) <= LASTS_MAX, "the server answers for no more"
        if not names:
            return []
        found, _ = await self._batch(stream, {"multi_last": list(names), "batch": len(names)})
        return found

    async def first(self, stream: str, subject: str) -> Stored | None:
        """The oldest message of a subject, or None."""
        wish = msgspec.json.encode({"seq": 1, "next_by_subj": subject})
        return self._one(await self.request(f"$JS.API.DIRECT.GET.{stream}", wish), subject)

    def _one(self, answer: Msg, subject: str) -> Stored | None:
        headers = answer.headers or {}
        status = headers.get("Status")
        if status == "404":
            return None
        if status is not None:
            raise Unavailable(f"{subject}: {status} {headers.get('Description', '')}")
        return _stored(answer)

    async def read(
        self, stream: str, subject: str, after: int = 0, at_most: int | None = None
    ) -> list[Stored]:
        """Every message on a subject (wildcards allowed) with a higher sequence, in order; the
        first `at_most` of them."""
        found: list[Stored] = []
        while True:
            room = BATCH_MAX if at_most is None else min(BATCH_MAX, at_most - len(found))
            page, more = await self._page(stream, subject, after + 1, room)
            found += page
            if not more or not page or len(found) == at_most:
                return found
            after = page[-1].sequence

    async def page(
        self, stream: str, subject: str, after: int, at_most: int
    ) -> tuple[list[Stored], bool]:
        """The next messages on a subject, in order, and whether there are more."""
        return await self._page(stream, subject, after + 1, min(at_most, BATCH_MAX))

    async def _page(
        self, stream: str, subject: str, start: int, at_most: int = BATCH_MAX
    ) -> tuple[list[Stored], bool]:
        wish = {"seq": start, "batch": at_most, "next_by_subj": subject}
        return await self._batch(stream, wish)

    async def _batch(self, stream: str, wish: Mapping[str, object]) -> tuple[list[Stored], bool]:
        page: list[Stored] = []
        request = f"$JS.API.DIRECT.GET.{stream}"
        async with self._replies.many(request, msgspec.json.encode(wish)) as answers:
            while True:
                message = await answers.next()
                headers = message.headers or {}
                status = headers.get("Status")
                if status is None:
                    page.append(_stored(message))
                elif status in ("204", "404"):
                    return page, headers.get("Nats-Num-Pending", "0") != "0"
                else:
                    why = headers.get("Description", "")
                    raise Unavailable(f"{stream}: {status} {why}")

    async def purge(self, stream: str, subject: str, keep: int = 0) -> None:
        """Remove every message of a subject but the newest `keep`; no error if there is none."""
        await self.request(
            f"$JS.API.STREAM.PURGE.{stream}", msgspec.json.encode({"filter": subject, "keep": keep})
        )

    async def close(self) -> None:
        """Say goodbye; never raises for a server that is gone."""
        self._closing = True
        try:
            await self.client.close()
        except (NatsError, OSError, RuntimeError):  # the last is our loop's: see BusClient
            log.info("bus_closed_without_goodbye")


def _stored(message: Msg) -> Stored:
    headers = message.headers or {}
    return Stored(
        subject=headers["Nats-Subject"],
        sequence=int(headers["Nats-Sequence"]),
        at=stored_at(headers["Nats-Time-Stamp"]),
        body=message.data,
        headers=headers,
    )


def shown(url: str) -> str:
    """A URL, or several with commas between, without the secrets in them."""
    return ",".join(one.rpartition("@")[2] for one in url.split(","))


async def connect(url: str, *, name: str, timeout_s: float = CONNECT_TIMEOUT_S) -> Bus:
    """Connect and stay connected. `url`: one server's, or several of one cluster's with commas.

    Raises Unavailable if there is no connection in time.
    """

    # Every try may fail in another way, and the one that tells most need not be the last: a server
    # that refuses a token hangs up at once, and its answer may be lost with the connection.
    heard: dict[str, None] = {}
    connecting = asyncio.current_task()

    async def on_error(error: Exception) -> None:
        heard[str(error) or type(error).__name__] = None
        log.debug("nats_error", error=repr(error))
        # A try that fails in the moment of a cancellation swallows it, and the next try begins.
        if connecting is not None and connecting.cancelling():
            raise asyncio.CancelledError

    bus = Bus(BusClient(), name)
    try:
        # The client tries for ever, also the first time and also with a wrong token.
        async with asyncio.timeout(timeout_s):
            await bus.client.connect(
                url.split(","),
                name=name,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                # The client sleeps these seconds, whatever its annotation says.
                reconnect_time_wait=0.1,  # type: ignore[arg-type]
                connect_timeout=5,
                error_cb=on_error,
                disconnected_cb=bus.disconnected,
                reconnected_cb=bus.reconnected,
                ping_interval=20,
            )
    except NatsError as error:
        # Whatever a server does is tried again. This URL cannot be read, and nothing was opened.
        raise Unavailable(
            f"{shown(url)!r} is no URL of a nats-server ({error}); write"
            " nats://<token>@<host>:<port>, or several of one cluster with commas between"
        ) from error
    except (OSError, TimeoutError) as error:
        await bus.close()
        said = ", ".join(heard) or str(error) or type(error).__name__
        raise Unavailable(
            f"no nats-server answers at {shown(url)}: {said}; is it running, and are"
            " its address and token right?"
        ) from error
    await bus.start()
    return bus
