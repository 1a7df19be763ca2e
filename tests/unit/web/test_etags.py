"""ETags: of whole answers in JSON, and of nothing else."""

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import Request
from starlette.responses import Response

from ci_host.api.etags import Answered, ETags, Told, note

pytestmark = pytest.mark.anyio


def app() -> ETags:
    made = FastAPI()

    @made.get("/api/v1/things")
    async def things(n: int = 1) -> JSONResponse:
        return JSONResponse({"n": n})

    @made.get("/api/v1/parts")
    async def parts() -> StreamingResponse:
        return StreamingResponse(iter([b'{"a"', b": 1}"]), media_type="application/json")

    @made.get("/api/v1/text")
    async def text() -> StreamingResponse:
        return StreamingResponse(iter([b"a", b"b"]), media_type="text/plain")

    @made.post("/api/v1/things")
    async def make() -> JSONResponse:
        return JSONResponse({"n": 1})

    return ETags(made, Told())


async def asked(path: str, method: str = "GET", **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx2.ASGITransport(app=app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, headers=named)


@pytest.mark.parametrize("path", ["/api/v1/things", "/api/v1/parts"])
async def test_the_same_answer_has_the_same_tag_and_is_not_sent_twice(path):
    first = await asked(path)
    tag = first.headers["etag"]
    assert tag.startswith('W/"') and first.headers["cache-control"] == "private, no-cache"
    for wanted in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        again = await asked(path, if_none_match=wanted)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag


async def test_another_answer_has_another_tag_and_is_sent():
    tag = (await asked("/api/v1/things")).headers["etag"]
    other = await asked("/api/v1/things?n=2", if_none_match=tag)
    assert (other.status_code, other.json()) == (200, {"n": 2})


@pytest.mark.parametrize(
    ("path", "method"),
    [("/api/v1/text", "GET"), ("/api/v1/things", "POST"), ("/api/v1/no", "GET"), ("/x", "GET")],
)
async def test_all_else_goes_as_it_comes(path, method):
    answer = await asked(path, method, if_none_match="*")
    assert answer.status_code in (200, 404) and "etag" not in answer.headers


def reader(tag: str = "") -> Request:
    return Request({"type": "http", "headers": [(b"if-none-match", tag.encode())]})


def test_what_was_answered_is_answered_again_and_to_who_has_it_only_its_tag():
    told = Told()
    assert told.again(reader(), "made of this") is None
    told.keep("made of this", Answered('W/"x"', b"{}"))
    whole, same = told.again(reader(), "made of this"), told.again(reader('W/"x"'), "made of this")
    assert whole is not None and same is not None
    assert (whole.status_code, whole.body, whole.headers["etag"]) == (200, b"{}", 'W/"x"')
    assert whole.headers["content-type"] == "application/json"
    assert (same.status_code, same.body, same.headers["etag"]) == (304, b"", 'W/"x"')
    assert told.again(reader(), "made of that") is None


def test_only_so_many_bytes_of_answers_are_kept_in_mind():
    told = Told(most=4_000)
    for number in range(3):
        told.keep(number, Answered(f'W/"{number}"', b"1" * 1_000))
    assert [told.again(reader(), number) is None for number in range(3)] == [True, False, False]
    told.keep("long", Answered('W/"l"', b"1" * 4_000))
    assert told.again(reader(), "long") is None
    assert told.again(reader(), 2) is not None


async def test_an_answer_of_before_goes_out_as_it_is():
    made, told = FastAPI(), Told()

    @made.get("/api/v1/things")
    async def things(request: Request) -> Response:
        if same := told.again(request, "things"):
            return same
        note(request, "things")
        return JSONResponse({"n": next(count)})

    count = iter(range(2))
    transport = httpx2.ASGITransport(app=ETags(made, told))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        first, second = [await client.get("/api/v1/things") for _ in range(2)]
        assert (first.json(), second.json()) == ({"n": 0}, {"n": 0})
        assert dict(first.headers) == dict(second.headers)
        third = await client.get("/api/v1/things", headers={"If-None-Match": first.headers["etag"]})
        assert (third.status_code, third.content) == (304, b"")
