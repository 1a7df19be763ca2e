"""NatsShells: records of terminals on SHELLS, and the way to them by core messages.

What goes through a terminal is never on a stream: `shell.…` is of none.
"""

from collections.abc import AsyncIterator

import msgspec
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.ports import Unavailable
from ci_host.shell_ports import NoTerminal, Terminals
from pipelines import shell
from pipelines.ids import JobId, RunId
from pipelines.job import Lease
from pipelines.shell import Session, ShellAsked, ShellTold, Standby

ANSWER_S = 8.0


class NatsShells:
    """See ShellStore and ShellLines."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def standing_by(self, job: JobId) -> Standby | None:
        stored = await self._bus.newest(subjects.SHELLS, shell.state(job))
        held = await self._bus.newest(subjects.LEASES, subjects.lease(job))
        if stored is None or held is None:
            return None
        standby = msgspec.json.decode(stored.body, type=Standby)
        holder = msgspec.json.decode(held.body, type=Lease).runner
        return standby if (standby.job, standby.runner) == (job, holder) else None

    async def keep(self, session: Session) -> None:
        subject = shell.session_of(session.job, session.id)
        await self._bus.publish(subject, msgspec.json.encode(session))

    async def of_run(self, run: RunId) -> Terminals:
        found = Terminals()
        for stored in await self._bus.read(subjects.SHELLS, f"standby.{run}.*.*.*"):
            if stored.subject.endswith(".state"):
                standby = msgspec.json.decode(stored.body, type=Standby)
                found.standing_by[standby.job] = standby
            else:
                found.sessions.append(msgspec.json.decode(stored.body, type=Session))
        found.sessions.sort(key=lambda one: one.opened_at)
        return found

    async def dial(self, runner: str, asked: ShellAsked) -> "NatsShellChannel":
        client = self._bus.client
        try:
            # Heard before the runner may speak.
            frames = await client.subscribe(shell.said(runner, asked.job, asked.session))
        except NatsError as error:
            raise Unavailable(str(error)) from error
        channel = NatsShellChannel(self._bus, runner, asked, frames)
        try:
            await client.publish(shell.asks(runner, asked.job), msgspec.json.encode(asked))
            answer = await frames.next_msg(timeout=ANSWER_S)
            told = msgspec.json.decode(answer.data, type=ShellTold)
        except (NatsError, TimeoutError, msgspec.MsgspecError) as error:
            await channel.close()
            raise Unavailable(f"runner {runner} does not answer; is its agent running?") from error
        if told.refused:
            await channel.close()
            raise NoTerminal(told.refused)
        return channel


class NatsShellChannel:
    """See ShellChannel."""

    def __init__(self, bus: Bus, runner: str, asked: ShellAsked, frames: Subscription) -> None:
        self._bus = bus
        self._typed = shell.typed(runner, asked.job, asked.session)
        self._frames = frames

    async def frames(self) -> AsyncIterator[bytes]:
        async for message in self._frames.messages:
            yield message.data

    async def send(self, frame: bytes) -> None:
        try:
            await self._bus.client.publish(self._typed, frame)
        except NatsError as error:
            raise Unavailable(str(error)) from error

    async def close(self) -> None:
        try:
            await self._frames.unsubscribe()
        except NatsError:
            return
