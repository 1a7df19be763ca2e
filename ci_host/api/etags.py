"""ETags: what was read of the API, and has not changed since, is not sent again (RFC 9110, 8.8).

Nor is it made again, for nobody, where a route knows what its answer is made of: see `Told`.
"""

import hashlib
from typing import NamedTuple

from cachetools import LRUCache
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/api/v1/"
KIND = "application/json"
CACHE_CONTROL = "private, no-cache"
# Of the bodies kept, and what an entry takes besides.
BYTES_MAX = 16 * 1024 * 1024
ENTRY_BYTES = 500
# Where a request holds what its answer is made of.
NOTED = "made_of"


class Answered(NamedTuple):
    """One answer in JSON."""

    tag: str
    body: bytes


class Told:
    """The last answers, each by everything that it was made of.

    That holds the state of whatever was read, so an entry is never wrong: it is only of no use any
    more, once the state is another one.
    """

    def __init__(self, most: int = BYTES_MAX) -> None:
        self._kept: LRUCache[bytes, Answered] = LRUCache(most, getsizeof=_size_of)

    def keep(self, made_of: object, answered: Answered) -> None:
        """An answer was given. `made_of` is told apart by its `repr`."""
        if _size_of(answered) <= self._kept.maxsize:
            self._kept[_digest(made_of)] = answered

    def again(self, request: Request, made_of: object) -> Response | None:
        """The answer that was made of this before; None: make it."""
        answered = self._kept.get(_digest(made_of))
        if answered is None:
            return None
        headers = {"etag": answered.tag, "cache-control": CACHE_CONTROL}
        if _is_among(answered.tag, request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        return Response(answered.body, headers=headers, media_type=KIND)


def _size_of(answered: Answered) -> int:
    return len(answered.body) + ENTRY_BYTES


def _digest(made_of: object) -> bytes:
    # Who sees a thousand repositories has them all in it.
    return hashlib.sha256(repr(made_of).encode()).digest()


def note(request: Request, made_of: object) -> None:
    """Have the answer to this request be kept in mind as one that was made of this."""
    setattr(request.state, NOTED, made_of)


class ETags:
    """Around the application: answers in JSON have an ETag, and `If-None-Match` is heeded.

    Who may see what is found out in any case. Where a route does not say what its answer is made
    of, it is made, and only its way is saved.
    """

    def __init__(self, app: ASGIApp, told: Told) -> None:
        self._app, self._told = app, told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "GET" or not _is_read(scope["path"]):
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        await self._app(scope, receive, _Tagged(scope, send, self._told))


class _Tagged:
    """Holds an answer back until it is whole, if it is JSON; all others go as they come."""

    def __init__(self, scope: Scope, send: Send, told: Told) -> None:
        self._wanted, self._send = Headers(scope=scope).get("if-none-match", ""), send
        self._noted, self._told = scope["state"], told
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_new(message):
            self._start = message
            return
        if self._start is None or message["type"] != "http.response.body":
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body", False):
            await self._answer(self._start, bytes(self._body))

    async def _answer(self, start: Message, body: bytes) -> None:
        tag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = MutableHeaders(scope=start)
        if (made_of := self._noted.get(NOTED)) is not None:
            self._told.keep(made_of, Answered(tag, body))
        headers["etag"] = tag
        headers.setdefault("cache-control", CACHE_CONTROL)
        if _is_among(tag, self._wanted):
            start, body = {**start, "status": 304}, b""
            del headers["content-length"]
            start["headers"] = headers.raw
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _is_read(path: str) -> bool:
    return path.startswith(PREFIX)


def _is_new(start: Message) -> bool:
    """An answer in JSON that was made just now: one of before has its tag already."""
    headers = Headers(raw=start["headers"])
    is_json = headers.get("content-type", "").startswith(KIND)
    return start["status"] == 200 and is_json and "etag" not in headers


def _is_among(tag: str, wanted: str) -> bool:
    """Weakly compared, as a read wants it."""
    if wanted.strip() == "*":
        return True
    return tag.removeprefix("W/") in (one.strip().removeprefix("W/") for one in wanted.split(","))
