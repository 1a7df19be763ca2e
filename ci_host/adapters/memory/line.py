"""MemoryLine: the line of jobs in memory, for tests and simulation. Implements JobLine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from ci_host.line_ports import (
    TAKEN_BACK,
    EnvironmentRule,
    JobLimit,
    Left,
    Limited,
    News,
    Offered,
    PoolRule,
    Ruled,
    Slots,
    Ticket,
    Unwanted,
)
from ci_host.ports import Conflict
from pipelines.ids import JobId
from pipelines.job import HOST


class MemoryLine:
    """See JobLine. A test offers, plays the Runners (`jobs`, `claim`, `done`) and cancels."""

    def __init__(self) -> None:
        self.offers: dict[int, Ticket] = {}
        self.jobs: dict[int, Ticket] = {}
        self.leases: dict[JobId, str] = {}
        self.cancels: dict[JobId, str] = {}
        self.slots: dict[str, int] = {}
        self.limits: dict[tuple[str, str], JobLimit] = {}
        self.rules: dict[str, PoolRule] = {}
        self.environments: dict[tuple[str, str], EnvironmentRule] = {}
        # The last place on the queue of jobs: the fence of each release.
        self.last = 0
        self._next_offer = 0
        self._opened: list[MemoryOpenLine] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator["MemoryOpenLine"]:
        opened = MemoryOpenLine(self)
        self._opened.append(opened)
        try:
            yield opened
        finally:
            self._opened.remove(opened)

    # -- the others

    def offer(self, ticket: Ticket) -> None:
        """As an engine does: nothing, where it is offered already."""
        if any(one.job == ticket.job for one in self.offers.values()):
            return
        self._next_offer += 1
        placed = replace(ticket, place=self._next_offer)
        self.offers[placed.place] = placed
        self._tell(Offered(placed))

    def claim(self, job: JobId, runner: str) -> bool:
        """As a Runner does; whether it has it."""
        return self.leases.setdefault(job, runner) == runner

    def done(self, place: int) -> None:
        """As a Runner does that has reported."""
        self.jobs.pop(place, None)
        self._tell(Left(place))

    def cancel(self, job: JobId, reason: str) -> None:
        """As an engine does."""
        self.cancels[job] = reason
        self._tell(Unwanted(job, reason))

    def serve(self, slots: dict[str, int]) -> None:
        """Have Runners with these slots."""
        self.slots = slots
        self._tell(Slots(slots))

    def limit(self, limit: JobLimit) -> None:
        """As an administrator does."""
        self.limits[limit.pool, limit.repo] = limit
        self._tell(Limited(limit))

    def rule(self, rule: PoolRule | EnvironmentRule) -> None:
        """As an administrator does."""
        if isinstance(rule, EnvironmentRule):
            self.environments[rule.repo, rule.environment] = rule
        else:
            self.rules[rule.pool] = rule
        self._tell(Ruled(rule))

    def _tell(self, news: News) -> None:
        for opened in self._opened:
            opened.news.put_nowait(news)


class MemoryOpenLine:
    """See OpenLine."""

    def __init__(self, line: MemoryLine) -> None:
        self._line = line
        self._last = line.last
        self.news: asyncio.Queue[News] = asyncio.Queue()
        for place, offer in list(line.offers.items()):
            if line.leases.get(offer.job, HOST) != HOST:
                del line.offers[place]
        self.offers = list(line.offers.values())
        self.released = list(line.jobs.values())
        known = [one.job for one in (*self.offers, *self.released)]
        self.unwanted = [Unwanted(job, why) for job, why in line.cancels.items() if job in known]
        held = [job for job in dict.fromkeys(known) if line.leases.get(job) == HOST]
        wished = {one.job for one in self.unwanted}
        self.unwanted += [Unwanted(job, TAKEN_BACK) for job in held if job not in wished]
        self.slots = dict(line.slots)
        self.rules = list(line.rules.values())
        self.environments = list(line.environments.values())
        self.limits = list(line.limits.values())

    async def __aiter__(self) -> AsyncIterator[News]:
        while True:
            yield await self.news.get()

    async def release(self, offer: Ticket) -> Ticket:
        if self._line.last != self._last:
            raise Conflict(f"the queue is at {self._line.last}, not {self._last}")
        self._last = self._line.last = self._last + 1
        labels = () if offer.sent else offer.labels
        released = replace(offer, place=self._last, labels=labels)
        self._line.jobs[released.place] = released
        return released

    async def remove(self, offer: Ticket) -> None:
        self._line.offers.pop(offer.place, None)

    async def withdraw(self, ticket: Ticket) -> bool:
        return self._line.claim(ticket.job, HOST)

    async def take_off(self, released: Ticket) -> None:
        self._line.jobs.pop(released.place, None)
