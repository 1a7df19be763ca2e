"""Desk answers: what a registered Runner is told that asked, whatever went wrong here.

Here: which question has which form and who answers it. Messages come and go by the adapter.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from ci_host.desk_ports import DeskRefused
from ci_host.engine.desk import Desk
from ci_host.engine.registrations import Registrations
from ci_host.ports import Conflict, Damaged, Missing, Unavailable
from pipelines.cache import Entry
from pipelines.codec import decode_input
from pipelines.desk import (
    AppendAsked,
    BeatAsked,
    BlobAsked,
    BlobGiven,
    BlobJoined,
    CacheAsked,
    CacheKept,
    ClaimAsked,
    EnrolAsked,
    FinishAsked,
    How,
    JobAsked,
    SettleAsked,
    SourceAsked,
    StandAsked,
    StandingBy,
    Told,
    Verb,
)
from pipelines.events import JobFinished

# How a question is answered: its form, and who answers it.
Answerer = Callable[[str, Any], Awaitable[Any]]

log = structlog.get_logger()


class DeskAnswers:
    """Every question has an answer; none raises."""

    def __init__(self, desk: Desk, registrations: Registrations) -> None:
        self._registrations = registrations
        self._table = answerers_of(desk)

    async def answer(self, runner: str, verb: str, content: bytes) -> Told:
        """To a question of a registered Runner."""
        form, answer = self._table.get(verb, (None, None))
        if form is None or answer is None:
            told = Told(how=How.REFUSED, said=f"this host knows no {verb!r}; it is of another age")
        else:
            told = await told_of(form, answer, runner, content)
        if told.how is How.REFUSED:
            log.warning("runner_refused", runner=runner, verb=verb, reason=told.said)
        return told

    async def enrol(self, runner: str, content: bytes) -> Told:
        """To an invited one. It is let in with its own key after `enrolled`."""
        told = await told_of(EnrolAsked, self._registrations.enrol, runner, content)
        if told.how is How.REFUSED:
            log.warning("runner_refused", runner=runner, verb="enrol", reason=told.said)
        return told

    async def enrolled(self) -> None:
        """The answer is on its way: the accounts may change now."""
        try:
            await self._registrations.apply()
        except Unavailable as error:
            log.warning("runners_not_applied", reason=str(error))


async def told_of(form: Any, answer: Answerer, runner: str, content: bytes) -> Told:  # noqa: ANN401
    """What the Runner is told, whatever went wrong."""
    try:
        asked = msgspec.msgpack.decode(content, type=form)
        return Told(how=How.DONE, body=msgspec.msgpack.encode(await answer(runner, asked)))
    except (msgspec.MsgspecError, ValueError) as error:
        return Told(how=How.REFUSED, said=f"this cannot be read: {error}")
    except DeskRefused as error:
        return Told(how=How.REFUSED, said=str(error))
    except Conflict as error:
        return Told(how=How.CONFLICT, said=str(error))
    except (Missing, Damaged) as error:
        return Told(how=How.MISSING, said=str(error))
    except Unavailable as error:
        return Told(how=How.UNAVAILABLE, said=str(error))
    except Exception as fault:
        log.exception("desk_broke", runner=runner)
        return Told(how=How.UNAVAILABLE, said=f"a fault of the host's ({type(fault).__name__})")


def answerers_of(desk: Desk) -> dict[str, tuple[Any, Answerer]]:
    """The form of each question, and who answers it."""

    async def finish(runner: str, asked: FinishAsked) -> None:
        report = decode_input(asked.report)
        if not isinstance(report, JobFinished):
            raise DeskRefused("this is no report of a job")
        await desk.finish(runner, asked, report)

    async def cache_keep(runner: str, asked: CacheKept) -> None:
        await desk.cache_keep(runner, asked, msgspec.json.decode(asked.entry, type=Entry))

    return {
        Verb.STAND: (StandAsked, desk.stand),
        Verb.BEAT: (BeatAsked, desk.beat),
        Verb.CLAIM: (ClaimAsked, desk.claim),
        Verb.SETTLE: (SettleAsked, desk.settle),
        Verb.CANCEL_OF: (JobAsked, desk.cancel_of),
        Verb.FINISH: (FinishAsked, finish),
        Verb.LOG_END: (JobAsked, desk.log_end),
        Verb.LOG_APPEND: (AppendAsked, desk.log_append),
        Verb.CACHE_NEWEST: (CacheAsked, desk.cache_newest),
        Verb.CACHE_KEEP: (CacheKept, cache_keep),
        Verb.BLOB_GET: (BlobAsked, desk.blob_get),
        Verb.BLOB_PUT: (BlobGiven, desk.blob_put),
        Verb.BLOB_JOIN: (BlobJoined, desk.blob_join),
        Verb.SOURCE: (SourceAsked, desk.source),
        Verb.STAND_BY: (StandingBy, desk.stand_by),
    }
