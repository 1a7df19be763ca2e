"""A request's body is read so far and no farther, before anybody knows whose it is."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from ci_host.api.body_limits import (
    ALL_BYTES_MAX,
    BODY_BYTES_MAX,
    OPEN_BYTES_MAX,
    BodiesBounded,
    bound_of,
)
from tests.web.world import World

pytestmark = pytest.mark.anyio

CHUNK = b'"' + b"x" * 65_535


class Sent:
    """An endless body without a length. `size`: how much of it was taken."""

    size = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.size < 2 * BODY_BYTES_MAX:
            self.size += len(CHUNK)
            yield CHUNK


async def asked(
    world: World, method: str, path: str, content: object, key: str = ""
) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=world.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        headers = {"content-type": "application/json"}
        headers |= {"authorization": f"Bearer {key}"} if key else {}
        return await client.request(method, path, content=content, headers=headers)  # type: ignore[arg-type]


OPEN = [("POST", "/api/v1/logins"), ("POST", "/api/v1/logins/claim")]
CLOSED = [
    ("POST", "/api/v1/runs"),
    ("PUT", "/api/v1/secrets"),
    ("POST", "/api/v1/runs/import/signals"),
]


@pytest.mark.parametrize("key", ["", "stn_nobody", "stn_ada"])
@pytest.mark.parametrize(("method", "path"), [*OPEN, *CLOSED])
async def test_a_body_that_does_not_end_is_refused_whosever_it_is(world, method, path, key):
    sent = Sent()
    answer = await asked(world, method, path, sent, key)
    is_known = key == "stn_ada" and (method, path) in CLOSED
    most = BODY_BYTES_MAX if is_known else OPEN_BYTES_MAX
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert f"t most {most:,} bytes" in answer.json()["detail"]
    assert sent.size <= most + 2 * len(CHUNK)


async def test_who_has_a_key_may_send_more(world):
    body = b'{"repo": "' + b"x" * (4 * OPEN_BYTES_MAX) + b'"}'
    assert (await asked(world, "POST", "/api/v1/runs", body, "stn_ada")).status_code == 422


async def test_one_that_says_that_it_is_larger_is_not_read_at_all(world):
    read = []

    async def body():
        read.append(1)
        yield b"x"

    transport = httpx2.ASGITransport(app=world.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        headers = {"content-length": str(OPEN_BYTES_MAX + 1)}
        request = client.build_request("POST", "/api/v1/logins", content=body(), headers=headers)
        answer = await client.send(request)
    assert answer.status_code == 413


async def test_one_that_fits_is_answered_by_its_route(world):
    body = b'{"challenge": "' + b"0" * 64 + b'"}' + b" " * (OPEN_BYTES_MAX - 100)
    assert (await asked(world, "POST", "/api/v1/logins", body)).status_code == 201


def test_only_the_route_of_imports_is_given_the_room_of_one():
    for path in ("/api/v1/runs/import/signals", "/api/v1/runs/importX/rerun", "/api/v1/runs"):
        assert bound_of(path) == BODY_BYTES_MAX
    assert bound_of("/api/v1/runs/import") > BODY_BYTES_MAX


class Caller:
    """One request to `bounded`, piece by piece. `told`: what it is answered with."""

    def __init__(self, bounded: BodiesBounded) -> None:
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self.told: list[Message] = []
        scope = {"type": "http", "method": "POST", "path": "/api/v1/runs", "headers": []}
        self.answered = asyncio.create_task(bounded(scope, self._sent.get, self._tell))

    async def _tell(self, message: Message) -> None:
        self.told.append(message)

    def send(self, size: int, *, more: bool = True) -> None:
        message = {"type": "http.request", "body": b"x" * size, "more_body": more}
        self._sent.put_nowait(message)

    async def status(self) -> int:
        await self.answered
        return int(self.told[0]["status"])


async def somebody(_scope: Scope) -> bool:
    """They have a key."""
    return True


async def reading(_scope: Scope, receive: Receive, send: Send) -> None:
    """Reads all of a body, and says that all is well."""
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_a_body_that_comes_too_slowly_is_not_waited_for():
    caller = Caller(BodiesBounded(reading, somebody, timeout_s=0.05))
    caller.send(10)
    assert await caller.status() == 408
    assert (b"connection", b"close") in caller.told[0]["headers"]


async def test_where_there_is_no_room_who_sends_much_is_refused_and_who_sends_little_is_read():
    bounded = BodiesBounded(reading, somebody)
    many = [Caller(bounded) for _ in range(ALL_BYTES_MAX // BODY_BYTES_MAX)]
    for one in many:
        one.send(BODY_BYTES_MAX)
    large, small = Caller(bounded), Caller(bounded)
    large.send(OPEN_BYTES_MAX + 1)
    assert await large.status() == 503
    small.send(OPEN_BYTES_MAX, more=False)
    assert await small.status() == 200
    for one in many:
        one.send(0, more=False)
        assert await one.status() == 200
    again = Caller(bounded)
    again.send(BODY_BYTES_MAX, more=False)
    assert await again.status() == 200
