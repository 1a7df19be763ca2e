"""Shells: a terminal in a job that waits, over a WebSocket; between it and the runner's frames.

Bytes are what is typed and what is shown. Text is JSON: `{"columns": …, "rows": …}` from whoever
looks, and at the end `{"ended": why}` to them. Cookies are not believed here: another site's page
could open a socket in a person's name.
"""

import asyncio
import contextlib
import json
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from ci_host.access import Token
from ci_host.api.audit import record
from ci_host.api.auth import Here, Person, admitted, token_by, token_of
from ci_host.api.permissions import SOCKET
from ci_host.api.problems import Problem, answer
from ci_host.api.services import Services
from ci_host.engine.people import PersonRefused
from ci_host.ports import Unavailable
from ci_host.shell_ports import NoTerminal, ShellChannel
from pipelines.ids import JobId
from pipelines.shell import (
    ALIVE,
    ALIVE_EVERY_S,
    ENDED,
    RESIZED,
    SAID,
    SHOWN,
    SILENCE_S_MAX,
    TERM,
    TYPED,
    TYPED_BYTES_MAX,
    UNSEEN_BYTES_MAX,
    Session,
    ShellAsked,
    Size,
    Standby,
)

SHOWN_EVERY_BYTES = UNSEEN_BYTES_MAX // 4
LEFT = "left"

router = APIRouter(prefix="/api/v1/jobs", tags=["logs"])


@router.websocket("/{job}/shell")
async def shell(
    socket: WebSocket, job: str, columns: int = 80, rows: int = 24, term: str = "dumb"
) -> None:
    """A terminal in the sandbox of a job that waits after a failed step."""
    here: Services = socket.app.state.services
    size = Size(columns=columns, rows=rows)
    if not size.is_possible or not TERM.match(term):
        await _refuse(socket, Problem(422, "No terminal", f"What is {columns} x {rows}, {term!r}?"))
        return
    try:
        who = await _person(here, socket)
        standby = await here.shells.admit(JobId(job), who)
        session = await here.shells.begin(JobId(job), who)
        await record(here, who, socket, 101, {})
    except (Problem, PersonRefused, Unavailable) as refused:
        await _refuse(socket, refused)
        return
    asked = ShellAsked(job=job, session=session.id, by=who.name, size=size, term=term)
    why = "the host was ended"
    try:
        why = await _look(here, socket, standby, asked, who)
    finally:
        # Also where the host is told to end: the record should not say that it is open.
        await asyncio.shield(_closed(here, session, why))


@router.post("/{job}/shell/end", status_code=202, summary="End a job's wait for a terminal")
async def end_wait(here: Here, who: Person, job: str) -> dict[str, Any]:
    """The job is reported as it failed. Who may open a terminal in it may do this."""
    standby = await here.shells.admit(JobId(job), who)
    asked = ShellAsked(job=job, session=here.new_id(), by=who.name, ends=True)
    try:
        channel = await here.shell_lines.dial(standby.runner, asked)
    except NoTerminal as error:
        raise Problem(409, "It does not wait", str(error)) from error
    await channel.close()
    return {"job": job, "by": who.name}


async def _person(here: Services, socket: WebSocket) -> Token:
    """By the bearer token alone. Raises Problem."""
    secret = socket.headers.get("authorization", "").removeprefix("Bearer ").strip()
    return await admitted(here, await token_of(here, secret), socket, SOCKET)


async def _refuse(socket: WebSocket, refused: Exception) -> None:
    status = refused.status if isinstance(refused, Problem | PersonRefused) else 503
    await socket.send_denial_response(answer(status, "No terminal", str(refused)))


async def _closed(here: Services, session: Session, why: str) -> None:
    with contextlib.suppress(Unavailable):
        await here.shells.end(session, why)


async def _look(
    here: Services, socket: WebSocket, standby: Standby, asked: ShellAsked, who: Token
) -> str:
    """Open it, and pass on what goes through it until it is over; answers why it is."""
    await socket.accept()
    try:
        channel = await here.shell_lines.dial(standby.runner, asked)
    except (NoTerminal, Unavailable) as error:
        return await _end(socket, str(error))
    try:
        return await _Pump(here, socket, channel, who).run()
    finally:
        with contextlib.suppress(Unavailable):
            await channel.send(ENDED)
        await channel.close()


async def _end(socket: WebSocket, why: str) -> str:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_text(json.dumps({"ended": why}))
        await socket.close()
    return why


class _Pump:
    """Between a person's socket and a runner's channel."""

    def __init__(
        self, here: Services, socket: WebSocket, channel: ShellChannel, who: Token
    ) -> None:
        self._here = here
        self._socket = socket
        self._channel = channel
        self._who = who
        self._heard = asyncio.Event()

    async def run(self) -> str:
        """Until somebody ends it; answers why."""
        ways = (self._typed(), self._said(), self._alive(), self._silence())
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            why = next(iter(done)).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return why if why == LEFT else await _end(self._socket, why)

    async def _typed(self) -> str:
        while True:
            try:
                message = await self._socket.receive()
            except (WebSocketDisconnect, RuntimeError):
                return LEFT
            if message["type"] == "websocket.disconnect":
                return LEFT
            try:
                await self._pass_on(message.get("bytes"), message.get("text"))
            except Unavailable as error:
                return f"what was typed did not arrive: {error}"

    async def _pass_on(self, typed: bytes | None, said: str | None) -> None:
        for at in range(0, len(typed or b""), TYPED_BYTES_MAX):
            await self._channel.send(TYPED + (typed or b"")[at : at + TYPED_BYTES_MAX])
        if said:
            with contextlib.suppress(ValueError, TypeError, KeyError):
                size = json.loads(said)
                found = Size(columns=int(size["columns"]), rows=int(size["rows"]))
                if found.is_possible:
                    told = json.dumps({"columns": found.columns, "rows": found.rows})
                    await self._channel.send(RESIZED + told.encode())

    async def _said(self) -> str:
        shown = told = 0
        async for frame in self._channel.frames():
            self._heard.set()
            if frame[:1] == ENDED:
                return frame[1:].decode("utf-8", "replace") or "the terminal is over"
            if frame[:1] != SAID:
                continue
            try:
                await self._socket.send_bytes(frame[1:])
            except (WebSocketDisconnect, RuntimeError):
                return LEFT
            shown += len(frame) - 1
            if shown - told >= SHOWN_EVERY_BYTES:
                told = shown
                with contextlib.suppress(Unavailable):
                    await self._channel.send(SHOWN + str(shown).encode())
        return "the bus is gone"

    async def _alive(self) -> str:
        """Tell that somebody still looks, and see that they still may."""
        while True:
            if await token_by(self._here, self._who.digest) is None:
                return f"the token of {self._who.name} was revoked, or is over"
            with contextlib.suppress(Unavailable):
                await self._channel.send(ALIVE)
            await asyncio.sleep(ALIVE_EVERY_S)

    async def _silence(self) -> str:
        while True:
            self._heard.clear()
            try:
                await asyncio.wait_for(self._heard.wait(), SILENCE_S_MAX)
            except TimeoutError:
                return (
                    "the runner's agent has given no sign of life; the job itself waits on: open"
                    " another terminal once the agent is back"
                )
