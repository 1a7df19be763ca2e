"""Body limits: how much of a request is read, whoever sends it, before anybody knows who that is.

In front of all routes: what a framework reads of a body, it reads before it asks who is calling.
Each may have so many bytes and take so long, and all that are being read may have so many together.
Who sends more than a little is asked for their key first.
Webhooks have bounds of their own (`webhooks/hook_bodies.py`), as have forms (`bodies.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ci_host.api.exports import IMPORT_BYTES_MAX
from ci_host.api.problems import answer
from ci_host.ports import Unavailable

# A signal of 8 MiB, as JSON may write it; what else is sent has lower limits of its own.
BODY_BYTES_MAX = 64 * 1024 * 1024
# Of whoever need not say who they are.
OPEN_BYTES_MAX = 65_536
# Of all that are being read; whoever sends little is read in any case.
ALL_BYTES_MAX = 4 * BODY_BYTES_MAX
READ_TIMEOUT_S = 30.0
_OPEN = "/api/v1/logins"
# It is read by the route, piece by piece, once it is known who sends it.
_IMPORTS = "/api/v1/runs/import"


@dataclass(slots=True)
class Held:
    """How many bytes of bodies one process has read and not answered yet."""

    now: int = 0


class BodiesBounded:
    """An ASGI application around another: answers 413, 408 or 503 to whoever sends more, or too
    slowly, or where there is no room."""

    def __init__(
        self,
        app: ASGIApp,
        is_known: Callable[[Scope], Awaitable[bool]],
        timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        """`is_known`: whether a request has a key that is good here; may raise Unavailable."""
        self._app, self._is_known = app, is_known
        self._timeout_s, self._held = timeout_s, Held()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        known = partial(self._is_known, scope)
        most = bound_of(scope["path"])
        bound = Bound(most, known, self._held, self._timeout_s, receive, send)
        if bound.is_announced_beyond(scope):
            bound.refused = bound.too_large()
        else:
            try:
                await self._app(scope, bound.receive, bound.send)
            except Exception:
                # It heard of a caller who has gone.
                if bound.refused is None:
                    raise
            finally:
                self._held.now -= bound.came
        if bound.refused is not None:
            # Of what is left of the body nobody waits for the end.
            bound.refused.headers["Connection"] = "close"
            await bound.refused(scope, receive, send)


def bound_of(path: str) -> int:
    """How many bytes a request of this path may have."""
    if path.startswith(_OPEN):
        return OPEN_BYTES_MAX
    return IMPORT_BYTES_MAX if path == _IMPORTS else BODY_BYTES_MAX


class Bound:
    """One request's. Once it is `refused`, the application hears of a caller who has gone, and
    nothing that it says is sent. `came`: how many bytes of its body there are."""

    def __init__(
        self,
        most: int,
        is_known: Callable[[], Awaitable[bool]],
        held: Held,
        timeout_s: float,
        receive: Receive,
        send: Send,
    ) -> None:
        self._most, self._is_known, self._held = most, is_known, held
        self._receive, self._send = receive, send
        self._late_at = asyncio.get_running_loop().time() + timeout_s
        self._is_whole = self._has_begun = False
        self.came = 0
        self.refused: Response | None = None

    def is_announced_beyond(self, scope: Scope) -> bool:
        """Whether it says itself that it is larger."""
        said = dict(scope["headers"]).get(b"content-length", b"")
        return bool(said.isdigit()) and (len(said) > 18 or int(said) > self._most)

    async def receive(self) -> Message:
        """As ASGI has it."""
        if self.refused is None:
            message = await self._next()
            if self.refused is None:
                return message
        return {"type": "http.disconnect"}

    async def _next(self) -> Message:
        if self._is_whole:
            # Whoever waits now waits for the caller to go.
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._late_at):
                message = await self._receive()
        except TimeoutError:
            self.refused = answer(408, "Too slow", "Send the whole request at once.")
            return {"type": "http.disconnect"}
        size = len(message.get("body", b""))
        self.came += size
        self._held.now += size
        self._is_whole = not message.get("more_body", False)
        if not self._has_begun and self.came > OPEN_BYTES_MAX:
            self.refused = await self._refusal(size)
        return message

    async def _refusal(self, size: int) -> Response | None:
        """Of one that is not small any more, by the newest `size` bytes of it."""
        if self.came > self._most:
            return self.too_large()
        if self._held.now > ALL_BYTES_MAX:
            return answer(503, "Too much at once", "Others are being read; send it again.")
        if self.came - size > OPEN_BYTES_MAX:
            return None
        try:
            return None if await self._is_known() else self.too_large(OPEN_BYTES_MAX)
        except Unavailable as error:
            return answer(503, "The store does not answer", f"{error}. Send it again.")

    async def send(self, message: Message) -> None:
        """As ASGI has it."""
        if self.refused is None:
            self._has_begun = True
            await self._send(message)

    def too_large(self, most: int | None = None) -> Response:
        """413."""
        if most is None:
            told = f"At most {self._most:,} bytes are read of this request; send less at once."
        else:
            told = f"Without a key that is good here at most {most:,} bytes are read of it."
        return answer(413, "Too large", told)
