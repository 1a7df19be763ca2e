"""Hook bodies: reading what a forge sends, before anybody knows that it is one.

Each body may have so many bytes and take so long, and all that are being read may have so many
together: whoever only knows a URL can keep neither the memory nor a connection.
"""

import asyncio

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

BODY_BYTES_MAX = 25 * 1024 * 1024
ALL_BYTES_MAX = 10 * BODY_BYTES_MAX
SMALL_BYTES = 1024 * 1024
# A forge sends what it has at once.
READ_TIMEOUT_S = 10.0
RETRY_AFTER_S = 5


class Problem(Exception):
    """A call that is refused, as RFC 9457 wants it told."""

    def __init__(
        self, status: int, title: str, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(title)
        self.status, self.title, self.detail, self.headers = status, title, detail, headers

    def response(self) -> Response:
        """The answer to the caller."""
        content = {"title": self.title, "status": self.status, "detail": self.detail}
        return JSONResponse(
            content, self.status, headers=self.headers, media_type="application/problem+json"
        )


class Bodies:
    """All that are being read by one process. `held`: how many bytes of them are there now."""

    def __init__(
        self,
        *,
        most: int = ALL_BYTES_MAX,
        small: int = SMALL_BYTES,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._most, self._small, self._timeout_s = most, small, timeout_s
        self.held = 0

    async def read(self, request: Request) -> bytes:
        """The raw body. Raises Problem."""
        _refuse_announced(request.headers.get("content-length", ""))
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                async for chunk in request.stream():
                    self.held += len(chunk)
                    body += chunk
                    self._refuse(len(body))
        except TimeoutError:
            raise Problem(
                408,
                "Body too slow",
                f"It must be sent within {self._timeout_s:.0f} seconds; send the call again.",
                {"Connection": "close"},
            ) from None
        except ClientDisconnect:
            # Nobody is left to read this answer; it is for the access log.
            told = "The connection ended early; send again."
            raise Problem(400, "Body cut short", told) from None
        finally:
            self.held -= len(body)
        return bytes(body)

    def _refuse(self, size: int) -> None:
        if size > BODY_BYTES_MAX:
            raise _too_large()
        # Honest calls are small: whoever holds much of it makes room.
        if self.held > 2 * self._most or (self.held > self._most and size > self._small):
            raise Problem(
                503,
                "Too much at once",
                f"Other calls are being read; send the same one again in {RETRY_AFTER_S} seconds.",
                {"Retry-After": str(RETRY_AFTER_S), "Connection": "close"},
            )


def _refuse_announced(size: str) -> None:
    """What Content-Length says is only ever a reason to stop early."""
    if len(size) > 18 or (size.isdecimal() and int(size) > BODY_BYTES_MAX):
        raise _too_large()


def _too_large() -> Problem:
    told = f"At most {BODY_BYTES_MAX} bytes are read. Push fewer commits or refs at once."
    return Problem(413, "Payload too large", told, {"Connection": "close"})
