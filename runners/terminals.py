"""Terminals: the agent's part in them, of one job that waits after a failed step.

Here: telling that it waits, and passing bytes between the bus and the shim's socket, one task for
each terminal. Not here: who may have one (the host), what it is (`standby`, `terminal`). It holds
nothing: when the agent dies, its terminals are hung up, and the next agent lets in anew.
"""

import asyncio
import contextlib
import json
import os
import time
from pathlib import Path

import structlog

from pipelines.job import JobSpec
from pipelines.shell import (
    ALIVE,
    ALIVE_EVERY_S,
    ENDED,
    RESIZED,
    SAID,
    SHOWN,
    SILENCE_S_MAX,
    TYPED,
    UNSEEN_BYTES_MAX,
    ShellTold,
    Standby,
)
from runners import job_directory
from runners.ports import ShellLink, Unavailable, Visit
from runners.retrying import until_done
from runners.terminal import FRAME_BYTES_MAX, HEADER

LOOK_S = 0.2
OPEN_S = 5.0

log = structlog.get_logger("runners.terminals")


class Terminals:
    """Of the job in `directory`."""

    def __init__(self, directory: Path, spec: JobSpec, *, link: ShellLink, runner: str) -> None:
        self._directory = directory
        self._spec = spec
        self._link = link
        self._runner = runner

    async def serve(self) -> None:
        """Until cancelled, which hangs up whoever is there."""
        while True:
            told = job_directory.read_record(str(self._directory), job_directory.STANDBY)
            if told is not None:
                break
            await asyncio.sleep(LOOK_S)
        async with asyncio.TaskGroup() as group:
            # Listened to before anybody can know that the job waits.
            visits = await until_done(lambda: self._link.visits(self._spec.id))
            standby = Standby(job=self._spec.id, runner=self._runner, **told)
            await until_done(lambda: self._link.stand_by(standby))
            log.info("job waits for a terminal", job=self._spec.id, step=standby.step)
            async for visit in visits:
                group.create_task(self._meet(visit))

    async def _meet(self, visit: Visit) -> None:
        asked = visit.asked
        try:
            reader, writer = await _connect(self._directory)
        except OSError as error:
            await _answer(visit, f"the job waits no longer ({error.strerror or error})")
            return
        log.info("terminal", job=asked.job, session=asked.session, by=asked.by, ends=asked.ends)
        try:
            if asked.ends:
                writer.write(_frame(b"x", b""))
                await _answer(visit, "")
                await _next_frame(reader)
                return
            size = {"columns": asked.size.columns, "rows": asked.size.rows}
            who = {"by": asked.by, "term": asked.term, **size}
            writer.write(_frame(b"w", json.dumps(who).encode()))
            letter, content = await asyncio.wait_for(_next_frame(reader), OPEN_S)
            await _answer(visit, content.decode(errors="replace") if letter == b"e" else "")
            if letter != b"e":
                await _Relay(visit, reader, writer).run()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            log.warning("terminal cut", job=asked.job, session=asked.session, error=repr(error))
            with contextlib.suppress(Unavailable):
                await visit.send(ENDED + b"the terminal was cut: the job's keeper is gone")
        except Exception:
            log.exception("terminal broken, a fault of the runner", job=asked.job)
        finally:
            writer.close()
            await visit.leave()
            log.info("terminal over", job=asked.job, session=asked.session)


class _Relay:
    """One terminal, both ways, until a side ends it or says nothing for too long."""

    def __init__(
        self, visit: Visit, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._visit = visit
        self._reader = reader
        self._writer = writer
        self._sent = 0
        self._shown = 0
        self._seen = asyncio.Event()
        self._heard_at = time.monotonic()

    async def run(self) -> None:
        tasks = [asyncio.create_task(one) for one in (self._out(), self._in(), self._live())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _out(self) -> None:
        """From the sandbox. No more is read than somebody looks at: programs then wait."""
        while True:
            letter, content = await _next_frame(self._reader)
            if letter == b"e":
                await self._send(ENDED + content)
                return
            while self._sent - self._shown > UNSEEN_BYTES_MAX:
                self._seen.clear()
                await self._seen.wait()
            self._sent += len(content)
            await self._send(SAID + content)

    async def _in(self) -> None:
        """Into the sandbox."""
        async for frame in self._visit.frames():
            self._heard_at = time.monotonic()
            letter, content = frame[:1], frame[1:]
            if letter == TYPED:
                self._writer.write(_frame(b"t", content[:FRAME_BYTES_MAX]))
                await self._writer.drain()
            elif letter == RESIZED:
                self._writer.write(_frame(b"r", content[:FRAME_BYTES_MAX]))
            elif letter == SHOWN and content.isdigit():
                self._shown = min(int(content), self._sent)
                self._seen.set()
            elif letter == ENDED:
                return

    async def _live(self) -> None:
        while time.monotonic() - self._heard_at < SILENCE_S_MAX:
            await self._send(ALIVE)
            await asyncio.sleep(ALIVE_EVERY_S)
        log.warning("terminal of a host that is silent", job=self._visit.asked.job)

    async def _send(self, frame: bytes) -> None:
        with contextlib.suppress(Unavailable):
            await self._visit.send(frame)


async def _answer(visit: Visit, refused: str) -> None:
    with contextlib.suppress(Unavailable):
        await visit.answer(ShellTold(refused=refused))


async def _connect(directory: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """By way of a descriptor: a path in a socket may not be long. Raises OSError."""
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/{job_directory.SHELL}")
    finally:
        os.close(folder)


async def _next_frame(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    letter, size = HEADER.unpack(await reader.readexactly(HEADER.size))
    return letter, await reader.readexactly(size)


def _frame(letter: bytes, content: bytes) -> bytes:
    return HEADER.pack(letter, len(content)) + content
