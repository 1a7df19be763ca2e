"""A request's body is read so far and no farther, before anybody knows whose it is."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from ci_host.api.body_limits import BODY_BYTES_MAX, OPEN_BYTES_MAX
from tests.web.world import World

pytestmark = pytest.mark.anyio

CHUNK = b'"' + b"x" * 65_535


class Sent:
    """An endless body without a length. `size`: how much of it was taken."""

    size = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.size < 4 * BODY_BYTES_MAX:
            self.size += len(CHUNK)
            yield CHUNK


async def asked(world: World, method: str, path: str, content: object) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=world.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        headers = {"content-type": "application/json"}
        return await client.request(method, path, content=content, headers=headers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [
        ("POST", "/api/v1/logins", OPEN_BYTES_MAX),
        ("POST", "/api/v1/logins/claim", OPEN_BYTES_MAX),
        ("POST", "/api/v1/runs", BODY_BYTES_MAX),
        ("PUT", "/api/v1/secrets", BODY_BYTES_MAX),
    ],
)
async def test_a_body_that_does_not_end_is_refused_by_whomever_it_is(world, method, path, most):
    sent = Sent()
    answer = await asked(world, method, path, sent)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert f"At most {most:,} bytes" in answer.json()["detail"]
    assert sent.size <= most + 2 * len(CHUNK)


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
