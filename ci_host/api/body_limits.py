"""Body limits: how much of a request is read, whoever sends it, before anybody knows who that is.

In front of all routes: what a framework reads of a body, it reads before it asks who is calling.
Webhooks have bounds of their own (`webhooks/routes.py`), as have forms (`bodies.py`).
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ci_host.api.exports import IMPORT_BYTES_MAX
from ci_host.api.problems import answer

# The largest of what the API takes in one piece; a job's and a Run's own limits are lower.
BODY_BYTES_MAX = 8 * 1024 * 1024
# Of who need be nobody.
OPEN_BYTES_MAX = 65_536
_OPEN = "/api/v1/logins"
# It is read by the route, piece by piece, once it is known who sends it.
_IMPORTS = "/api/v1/runs/import"


class BodiesBounded:
    """An ASGI application around another: answers 413 to whoever sends more."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bound = Bound(bound_of(scope["path"]), receive, send)
        if bound.is_announced_beyond(scope):
            await bound.refuse(scope)
            return
        try:
            await self._app(scope, bound.receive, bound.send)
        except Exception:
            # It heard of a caller who has gone.
            if not bound.is_over:
                raise
        if bound.is_over:
            await bound.refuse(scope)


def bound_of(path: str) -> int:
    """How many bytes a request of this path may have."""
    if path.startswith(_OPEN):
        return OPEN_BYTES_MAX
    return IMPORT_BYTES_MAX if path.startswith(_IMPORTS) else BODY_BYTES_MAX


class Bound:
    """One request's. Once it is over, the application hears of a caller who has gone, and nothing
    that it says is sent."""

    def __init__(self, most: int, receive: Receive, send: Send) -> None:
        self._most, self._receive, self._send = most, receive, send
        self._came = 0
        self._has_begun = False
        self.is_over = False

    def is_announced_beyond(self, scope: Scope) -> bool:
        """Whether it says itself that it is larger."""
        said = dict(scope["headers"]).get(b"content-length", b"")
        return bool(said.isdigit()) and (len(said) > 18 or int(said) > self._most)

    async def receive(self) -> Message:
        """As ASGI has it."""
        if self.is_over:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._came += len(message.get("body", b""))
        if self._came > self._most and not self._has_begun:
            self.is_over = True
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: Message) -> None:
        """As ASGI has it."""
        if not self.is_over:
            self._has_begun = True
            await self._send(message)

    async def refuse(self, scope: Scope) -> None:
        """413."""
        refusal = answer(
            413,
            "Too large",
            f"At most {self._most:,} bytes are read of this request; send less at once.",
        )
        await refusal(scope, self._receive, self._send)
