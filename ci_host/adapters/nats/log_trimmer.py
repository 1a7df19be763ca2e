"""LogTrimmer: takes a log's chunks off the bus once the whole of it is kept in the blob store.

The runner says so with a last message on the log's subject, which stays: it tells where the log is.
A hint is enough to trim at once; what was missed is found by looking at everything now and then.
"""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from nats.aio.msg import Msg

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.ports import Unavailable
from pipelines.job import LogChunk

EVERY_S = 6 * 3_600.0
AGAIN_S = 1.0
# A hint can be faster than the disk.
ECHOES_S = (0.0, 0.05, 0.5)
MARK = b'"kept":"'

log = structlog.get_logger()


class LogTrimmer:
    """One per host; several do no harm."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._hinted: asyncio.Queue[str] = asyncio.Queue()

    async def serve(self) -> None:
        """Trim until cancelled."""
        await self._bus.client.subscribe("log.>", cb=self._on_log)
        while True:
            try:
                await self.trim_all()
                await self._follow()
            except Unavailable as reason:
                log.warning("logs_not_trimmed", reason=str(reason))
                await asyncio.sleep(AGAIN_S)

    async def trim_all(self) -> None:
        """Every log that is kept. Raises Unavailable."""
        for subject, count in (await self._counts()).items():
            if count > 1:
                await self._trim(subject)

    async def _on_log(self, message: Msg) -> None:
        if MARK in message.data[-256:]:
            self._hinted.put_nowait(message.subject)

    async def _follow(self) -> None:
        """Hints, until it is time to look at everything."""
        with suppress(TimeoutError):
            async with asyncio.timeout(EVERY_S):
                while True:
                    subject = await self._hinted.get()
                    for echo in ECHOES_S:
                        await asyncio.sleep(echo)
                        if await self._trim(subject):
                            break

    async def _trim(self, subject: str) -> bool:
        last = await self._bus.last(subjects.LOGS, subject)
        if last is None or not msgspec.json.decode(last.body, type=LogChunk).kept:
            return False
        await self._bus.purge(subjects.LOGS, subject, keep=1)
        return True

    async def _counts(self) -> dict[str, int]:
        """Messages by subject."""
        found: dict[str, int] = {}
        while True:
            wish = {"subjects_filter": "log.>", "offset": len(found)}
            answer = await self._bus.request(
                f"$JS.API.STREAM.INFO.{subjects.LOGS}", msgspec.json.encode(wish)
            )
            told: dict[str, Any] = msgspec.json.decode(answer.data)
            page = told.get("state", {}).get("subjects") or {}
            found |= page
            if not page or len(found) >= told.get("total", 0):
                return found
