"""Requests of registered Runners: from the bus to the desk, and the answer back.

Core messages: nothing of them is stored. Each is answered, whatever goes wrong; a bounded number of
them is worked on at once.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec
import structlog
from nats.aio.msg import Msg

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from pipelines.desk import How, Told, telling
from pipelines.ids import JobId
from pipelines.job import CancelJob, LeaseScope

QUEUE = "hosts"
AT_ONCE_MAX = 64

log = structlog.get_logger()


class Answers(Protocol):
    """Whoever knows the answers. No method raises."""

    async def answer(self, runner: str, verb: str, content: bytes) -> Told:
        """To a question of a registered Runner."""

    async def enrol(self, runner: str, content: bytes) -> Told:
        """To an invited one."""

    async def enrolled(self) -> None:
        """The answer to an invited one is on its way."""


class DeskRequests:
    """Listens on `desk.*.*` and `enrol.*`, and tells Runners of cancelled Jobs."""

    def __init__(self, bus: Bus, answers: Answers) -> None:
        self._bus = bus
        self._answers = answers
        self._room = asyncio.Semaphore(AT_ONCE_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Answer from now on; of several hosts one answers each."""
        for subject, heard in (
            ("desk.*.*", self._answer),
            ("enrol.*", self._enrol),
            ("cancel.>", self._tell_cancel),
        ):

            async def on_message(message: Msg, heard: Any = heard) -> None:  # noqa: ANN401  bound now
                await self._beside(heard(message))

            await self._bus.client.subscribe(subject, queue=QUEUE, cb=on_message)

    async def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Not after those before it; but the bus waits while there is no room."""
        await self._room.acquire()

        async def working() -> None:
            try:
                await work
            except Exception:
                log.exception("desk_broke")
            finally:
                self._room.release()

        task = asyncio.create_task(working())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, message: Msg) -> None:
        _, runner, verb = message.subject.split(".")
        told = await self._answers.answer(runner, verb, message.data)
        await message.respond(msgspec.msgpack.encode(told))

    async def _enrol(self, message: Msg) -> None:
        told = await self._answers.enrol(message.subject.split(".")[1], message.data)
        # Before the accounts change: the invitation's own connection is ended by that.
        await message.respond(msgspec.msgpack.encode(told))
        await self._bus.client.flush()
        if told.how is How.DONE:
            await self._answers.enrolled()

    async def _tell_cancel(self, message: Msg) -> None:
        wish = msgspec.json.decode(message.data, type=CancelJob)
        stored = await self._bus.last(subjects.LEASES, subjects.lease(JobId(wish.job)))
        if stored is None:
            return
        lease = msgspec.json.decode(stored.body, type=_Holder)
        if isinstance(lease.scope, LeaseScope):
            await self._bus.hint(telling(lease.runner), message.data)


class _Holder(msgspec.Struct, frozen=True):
    """What is needed here of a Lease."""

    runner: str
    scope: LeaseScope | msgspec.UnsetType = msgspec.UNSET
