"""ETags: what was read of the API, and has not changed since, is not sent again (RFC 9110, 8.8)."""

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "/api/v1/"
KIND = b"application/json"


class ETags:
    """Around the application: answers in JSON have an ETag, and `If-None-Match` is heeded.

    An answer is made in any case, for what it takes is who may see what: only its way is saved.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "GET" or not _is_read(scope["path"]):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Tagged(scope, send))


class _Tagged:
    """Holds an answer back until it is whole, if it is JSON; all others go as they come."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._wanted, self._send = Headers(scope=scope).get("if-none-match", ""), send
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
        headers["etag"] = tag
        headers.setdefault("cache-control", "private, no-cache")
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
