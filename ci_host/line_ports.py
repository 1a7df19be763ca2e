"""Line ports: jobs between the engine that offers them and the Runners that take them.

Here are the contract and the records that cross it. Whose turn it is says `engine/line.py`.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from pipelines.ids import JobId
from pipelines.priority import Priority
from pipelines.trust import Tier

AT_ONCE_MAX = 100_000
# Why the host has claimed a Job, where whoever claimed it died before it said more.
TAKEN_BACK = "the host took it back before a runner began it"


class JobLimit(msgspec.Struct, frozen=True, kw_only=True):
    """How many Jobs of a Pool, or of a Repo (its id), may be with Runners at once.

    One of the two is named. `at_once` None: there is no limit.
    """

    pool: str = ""
    repo: str = ""
    at_once: int | None = None


class PoolRule(msgspec.Struct, frozen=True, kw_only=True):
    """Whose Jobs a Pool takes: of that tier, or of both (None, as if there were no rule).

    `untrusted_to`: the Pool to which a trusted one sends those that it does not take. `labels`:
    what its Runners are or have; a Job that asks for some runs in a Pool that has them all.
    """

    pool: str
    tier: Tier | None = None
    untrusted_to: str = ""
    labels: list[str] = []


class EnvironmentRule(msgspec.Struct, frozen=True, kw_only=True):
    """Of which refs a Run must be whose Jobs may name an environment of a Repo (its id).

    `refs` are globs of full names, or of branches; None: there is no rule (any more). `by_hand`:
    whether Runs may name it that a person started at a commit. `by` set it, `at` then.
    """

    repo: str
    environment: str
    refs: list[str] | None = None
    by_hand: bool = False
    by: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What counts of a Job for its turn. `place`: where it is kept, as offer or as released.

    `pool`: where it runs; `sent`: why there, for people, where that is not the Pool that it names.
    """

    job: JobId
    key: str
    pool: str
    level: Priority
    repo: str
    repo_name: str
    place: int
    tier: Tier = Tier.UNTRUSTED
    sent: str = ""
    environment: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offered:
    """An engine has offered a Job."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class Left:
    """What was released to this place is with no Runner any more."""

    place: int


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Somebody wishes for the end of an Attempt, wherever it is."""

    job: JobId
    reason: str


@dataclass(frozen=True, slots=True)
class Slots:
    """How many slots the live Runners of each Pool have, all of them."""

    pools: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Limited:
    """A limit was set or removed."""

    limit: JobLimit


@dataclass(frozen=True, slots=True)
class Ruled:
    """A rule of a Pool or an environment was set or removed."""

    rule: PoolRule | EnvironmentRule


News = Offered | Left | Unwanted | Slots | Limited | Ruled


class OpenLine(Protocol):
    """The line as it was found, what happens to it from then on, and how to move it.

    Every method, and the iteration, may raise Unavailable, and Conflict where somebody else has
    released a Job since: what is known is old then. Open it again, and look.
    """

    @property
    def offers(self) -> Sequence[Ticket]:
        """What was offered and not released, in the order of the offers. None is claimed."""

    @property
    def released(self) -> Sequence[Ticket]:
        """What is with the Runners, or on its way to them."""

    @property
    def unwanted(self) -> Sequence[Unwanted]:
        """Of both, those that somebody wishes the end of, and those that the host has claimed: it
        was about to report their end."""

    @property
    def slots(self) -> Mapping[str, int]:
        """See Slots."""

    @property
    def limits(self) -> Sequence[JobLimit]:
        """Those that there are."""

    @property
    def rules(self) -> Sequence[PoolRule]:
        """Those that there are."""

    @property
    def environments(self) -> Sequence[EnvironmentRule]:
        """The rules of environments that there are."""

    def __aiter__(self) -> AsyncIterator[News]:
        """What happens, for ever. An offer, and what has left, are told for sure."""

    async def release(self, offer: Ticket) -> Ticket:
        """Give it to the Runners of `offer.pool`, durably; they see it as one that asks for that.
        The offer is still there, and to be removed."""

    async def remove(self, offer: Ticket) -> None:
        """Have it offered no longer; no error where it is not."""

    async def withdraw(self, ticket: Ticket) -> bool:
        """Claim an offered or released Job in the host's name, unless a Runner has: none will
        begin it. False: one has."""

    async def take_off(self, released: Ticket) -> None:
        """Have Runners see no more of it."""


class JobLine(Protocol):
    """Where Jobs wait for their turn."""

    def open(self) -> AbstractAsyncContextManager[OpenLine]:
        """Look at all of it. Raises Unavailable."""
