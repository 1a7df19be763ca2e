"""ETags: what was read of the API, and has not changed since, is not sent again (RFC 9110, 8.8).

Nor is it made again, where a route knows what its answer is made of: see `Told`.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Hashable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/api/v1/"
KIND = b"application/json"
CACHE_CONTROL = "private, no-cache"
TOLD_MAX = 2_000
# Where a request holds what its answer is made of.
NOTED = "made_of"


class Told:
    """The ETags of the last answers, each by everything that its answer was made of.

    That holds the state of whatever was read, so an entry is never wrong: it is only of no use any
    more, once the state is another one.
    """

    def __init__(self, most: int = TOLD_MAX) -> None:
        self._tags: OrderedDict[Hashable, str] = OrderedDict()
        self._most = most

    def keep(self, made_of: Hashable, tag: str) -> None:
        """An answer was given."""
        self._tags[made_of] = tag
        self._tags.move_to_end(made_of)
        if len(self._tags) > self._most:
            self._tags.popitem(last=False)

    def unchanged(self, request: Request, made_of: Hashable) -> Response | None:
        """The answer to somebody who has already what would be made of this; None: make it."""
        tag = self._tags.get(made_of)
        if tag is None or not _is_among(tag, request.headers.get("if-none-match", "")):
            return None
        return Response(status_code=304, headers={"etag": tag, "cache-control": CACHE_CONTROL})


def note(request: Request, made_of: Hashable) -> None:
    """Have the answer to this request be kept in mind as one that was made of this."""
    setattr(request.state, NOTED, made_of)


class ETags:
    """Around the application: answers in JSON have an ETag, and `If-None-Match` is heeded.

    Who may see what is found out in any case, and nearly always the answer is made: only its way is
    saved then.
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
        if message["type"] == "http.response.start" and _is_json(message):
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
            self._told.keep(made_of, tag)
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


def _is_json(start: Message) -> bool:
    kinds = [value for name, value in start["headers"] if name.lower() == b"content-type"]
    return start["status"] == 200 and bool(kinds) and kinds[0].startswith(KIND)


def _is_among(tag: str, wanted: str) -> bool:
    """Weakly compared, as a read wants it."""
    if wanted.strip() == "*":
        return True
    return tag.removeprefix("W/") in (one.strip().removeprefix("W/") for one in wanted.split(","))
