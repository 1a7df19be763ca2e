"""Dispatcher: releases offered jobs to the Runners, one after another, as the Line says.

What it knows it read when it opened the line; whoever releases a job in between makes its next
release fail, and then it reads everything again. So it may die at any line, and there may be two.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from ci_host.engine.line import Depth, Held, Line
from ci_host.line_ports import (
    JobLine,
    Left,
    Limited,
    News,
    Offered,
    OpenLine,
    Slots,
    Ticket,
    Unwanted,
)
from ci_host.ports import Conflict, HistoryStore, Unavailable
from pipelines.events import JobFinished
from pipelines.ids import JobId, RunId
from pipelines.job import Outcome

AGAIN_S = 0.2
# Somebody else releases jobs: it is left to them, unless they stop.
CONFLICT_S = 1.0
EARLY_MAX = 1_000

log = structlog.get_logger()


class Dispatcher:
    """One per host; a second one is idle for as long as the first releases what it can."""

    def __init__(self, line: JobLine, history: HistoryStore, *, now: Callable[[], float]) -> None:
        self._ways = line
        self._history = history
        self._now = now
        self._line = Line()
        # A wish can be heard before the offer that it is about.
        self._early: dict[JobId, Unwanted] = {}

    async def serve(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Release jobs until cancelled."""
        while True:
            try:
                async with self._ways.open() as opened:
                    await self._serve(opened)
            except Conflict as reason:
                log.info("somebody_else_releases_jobs", reason=str(reason))
                await pause(CONFLICT_S)
            except Unavailable as reason:
                log.warning("jobs_not_released", reason=str(reason))
                await pause(AGAIN_S)
            except Exception:  # the edge: whatever it was, the next look may go better
                log.exception("dispatcher_broke")
                await pause(CONFLICT_S)

    def why(self, job: JobId) -> Held | None:
        """Why a job that is offered is not at work, as of now; None: nothing is known of it."""
        return self._line.why(job)

    def depths(self) -> list[Depth]:
        """How much each pool has to do, as of now."""
        return self._line.depths()

    async def _serve(self, opened: OpenLine) -> None:
        self._line = line = Line(opened.slots, opened.limits)
        for released in opened.released:
            line.release(released)
        for offer in opened.offers:
            if not line.offer(offer):
                # It died between release and removal.
                await opened.remove(offer)
        for wish in opened.unwanted:
            await self._end(opened, wish)
        await self._release_all(opened)
        async for news in opened:
            await self._take(opened, news)
            await self._release_all(opened)

    async def _take(self, opened: OpenLine, news: News) -> None:
        match news:
            case Offered(ticket):
                if not self._line.offer(ticket):
                    await opened.remove(ticket)
                elif (wish := self._early.pop(ticket.job, None)) is not None:
                    await self._end(opened, wish)
            case Left(place):
                self._line.left(place)
            case Unwanted():
                await self._end(opened, news)
            case Slots(pools):
                self._line.slots = pools
            case Limited(limit):
                self._line.limit(limit)

    async def _release_all(self, opened: OpenLine) -> None:
        while (offer := self._line.next()) is not None:
            self._line.release(await opened.release(offer))
            await opened.remove(offer)

    async def _end(self, opened: OpenLine, wish: Unwanted) -> None:
        """Report what nobody works at; a Runner sees to the rest. The report comes first: who dies
        after it finds the wish again."""
        offer = self._line.find(wish.job)
        if offer is not None:
            await self._report(offer, wish.reason)
            self._line.drop(wish.job)
            await opened.remove(offer)
            return
        released = self._line.find_released(wish.job)
        if released is None:
            self._remember(wish)
        elif await opened.withdraw(released):
            await self._report(released, wish.reason)
            await opened.take_off(released)
            self._line.left(released.place)

    def _remember(self, wish: Unwanted) -> None:
        """Most are about jobs that are over."""
        self._early[wish.job] = wish
        if len(self._early) > EARLY_MAX:
            del self._early[next(iter(self._early))]

    async def _report(self, ticket: Ticket, reason: str) -> None:
        run, _, attempt = ticket.job.split(".")
        report = JobFinished(
            job=ticket.job,
            key=ticket.key,
            attempt=int(attempt),
            outcome=Outcome.CANCELLED,
            message=f"cancelled before it began: {reason or 'no reason given'}",
            finished_at=self._now(),
        )
        log.info("job_cancelled_in_line", job=ticket.job, reason=reason)
        await self._history.append_input(RunId(run), report)
