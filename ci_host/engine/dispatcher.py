"""Dispatcher: releases offered jobs to the Runners, one after another, as the Line says.

What it knows it read when it opened the line; whoever releases a job in between makes its next
release fail, and then it reads everything again. So it may die at any line, and there may be two.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import msgspec
import structlog

from ci_host.engine.environment_rules import EnvironmentRules, why_not
from ci_host.engine.line import Depth, Held, Line
from ci_host.engine.pool_rules import PoolRules, Route
from ci_host.line_ports import (
    TAKEN_BACK,
    JobLine,
    Left,
    Limited,
    News,
    Offered,
    OpenLine,
    Ruled,
    Slots,
    Ticket,
    Unwanted,
)
from ci_host.ports import Conflict, HistoryStore, Unavailable
from pipelines.events import JobFinished, RunStarted
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
        self._rules = PoolRules()
        self._environments = EnvironmentRules()
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
        self._rules = PoolRules(opened.rules)
        self._environments = EnvironmentRules(opened.environments)
        for released in opened.released:
            line.release(released)
        for offer in opened.offers:
            await self._admit(opened, offer)
        # Before the wishes: what it has claimed and not reported yet is among them too.
        await self._recall(opened)
        for wish in opened.unwanted:
            await self._end(opened, wish)
        await self._release_all(opened)
        async for news in opened:
            if isinstance(news, Ruled):
                log.info("rule_changed", rule=msgspec.to_builtins(news.rule))
                return  # everything that waits is looked at anew
            if isinstance(news, Slots) and self._line.has_labels and self._is_other(news):
                return
            await self._take(opened, news)
            await self._release_all(opened)

    def _is_other(self, news: Slots) -> bool:
        """Whether another pool has come alive, or one is gone: by labels others are chosen then."""
        return _alive(news.pools) != _alive(self._line.slots)

    async def _take(self, opened: OpenLine, news: News) -> None:
        match news:
            case Offered(ticket):
                await self._admit(opened, ticket)
                if (wish := self._early.pop(ticket.job, None)) is not None:
                    await self._end(opened, wish)
            case Left(place):
                self._line.left(place)
            case Unwanted():
                await self._end(opened, news)
            case Slots(pools):
                self._line.slots = pools
            case Limited(limit):
                self._line.limit(limit)

    async def _admit(self, opened: OpenLine, offer: Ticket) -> None:
        """Have it wait for the pool where it will run, or report that there is none."""
        route = await self._route(offer)
        if self._line.find_released(offer.job) is not None:
            # It died between release and removal.
            await opened.remove(offer)
        elif not route.pool:
            # Not where it is at work: another host may have released it, by rules from before.
            if await opened.withdraw(offer):
                await self._report(offer, Outcome.REFUSED, route.why)
            await opened.remove(offer)
        else:
            if not self._line.offer(replace(offer, pool=route.pool, sent=route.words)):
                await opened.remove(offer)

    async def _route(self, ticket: Ticket) -> Route:
        rule = self._environments.find(ticket.repo, ticket.environment)
        if rule is not None:
            run = RunId(ticket.job.partition(".")[0])
            started = await self._history.started(run)
            if started is None:
                return Route("", f"run {run} is not there any more")
            is_forked = await self._is_forked(started)
            if why := why_not(rule, started.event, started.tier, is_forked=is_forked):
                return Route("", why)
        if ticket.labels:
            return self._rules.find(ticket.labels, ticket.tier, _alive(self._line.slots))
        return self._rules.route(ticket.pool, ticket.tier)

    async def _is_forked(self, started: RunStarted) -> bool:
        """Whether it, or who called it, is the fork of a Run: then somebody may have chosen its
        code."""
        while started.fork is None and started.parent is not None:
            above = await self._history.started(RunId(started.parent.run))
            if above is None:
                return True
            started = above
        return started.fork is not None

    async def _recall(self, opened: OpenLine) -> None:
        """Take back what no Runner has begun, and its pool takes no longer. It is not sent on: its
        place in the queue of Runners is given."""
        for released in opened.released:
            route = await self._route(released)
            if route.pool != released.pool and await opened.withdraw(released):
                why = route.why or (
                    f"pool {released.pool} takes such jobs no longer, and no runner had begun this"
                    f" one; rerun it, and it runs in pool {route.pool}"
                )
                await self._report(released, Outcome.REFUSED, why)
                await opened.take_off(released)
                self._line.left(released.place)

    async def _release_all(self, opened: OpenLine) -> None:
        while (offer := self._line.next()) is not None:
            self._line.release(await opened.release(offer))
            await opened.remove(offer)

    async def _end(self, opened: OpenLine, wish: Unwanted) -> None:
        """Report what nobody works at; a Runner sees to the rest. The report comes first: who dies
        after it finds the wish again."""
        offer = self._line.find(wish.job)
        if offer is not None:
            await self._report(offer, *_ending(wish))
            self._line.drop(wish.job)
            await opened.remove(offer)
            return
        released = self._line.find_released(wish.job)
        if released is None:
            self._remember(wish)
        elif await opened.withdraw(released):
            await self._report(released, *_ending(wish))
            await opened.take_off(released)
            self._line.left(released.place)

    def _remember(self, wish: Unwanted) -> None:
        """Most are about jobs that are over."""
        self._early[wish.job] = wish
        if len(self._early) > EARLY_MAX:
            del self._early[next(iter(self._early))]

    async def _report(self, ticket: Ticket, outcome: Outcome, message: str) -> None:
        run, _, attempt = ticket.job.split(".")
        report = JobFinished(
            job=ticket.job,
            key=ticket.key,
            attempt=int(attempt),
            outcome=outcome,
            message=message,
            finished_at=self._now(),
        )
        log.info("job_ended_in_line", job=ticket.job, outcome=outcome, reason=message)
        await self._history.append_input(RunId(run), report)


def _alive(slots: Mapping[str, int]) -> set[str]:
    return {pool for pool, count in slots.items() if count}


def _ending(wish: Unwanted) -> tuple[Outcome, str]:
    if wish.reason == TAKEN_BACK:
        # Whoever began to refuse it died before saying why.
        return Outcome.REFUSED, f"{TAKEN_BACK}; rerun it"
    return Outcome.CANCELLED, f"cancelled before it began: {wish.reason or 'no reason given'}"
