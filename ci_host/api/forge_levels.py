"""Forge levels: what somebody who logged in at a forge may do here, as the forge says, and for how
long that is believed.

An answer counts for a minute. A forge that does not answer leaves the last one in force for ten;
then there is nothing, as where the forge refuses to say, and it is asked again every few seconds.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from ci_host.access import Level, Token
from pipelines.repo import Repo
from webhooks.forge import Account, Later, Permission, Refused

BELIEVED_S = 60.0
LAST_WORD_S = 600.0
AGAIN_S = 5.0
ASKED_AT_ONCE = 8
KEPT_MAX = 50_000

LEVELS = {
    Permission.READ: Level.READ,
    Permission.WRITE: Level.ACT,
    Permission.ADMIN: Level.ADMIN,
}

log = structlog.get_logger()


class Asked(Protocol):
    """Who asks the forges; see webhooks.members.Members."""

    async def permission(self, repo: Repo, who: Account) -> Permission | Later | Refused:
        """What is so now."""
        ...


@dataclass(slots=True)
class _Kept:
    """`told_at`: when the forge said so; `asked_at`: when it was asked last."""

    level: Level | None = None
    told_at: float = float("-inf")
    asked_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ForgeLevels:
    """One per host. Whoever asks for the same at once waits for one question."""

    def __init__(self, members: Asked, *, now: Callable[[], float]) -> None:
        self._members, self._now = members, now
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._free = asyncio.Semaphore(ASKED_AT_ONCE)

    async def level(self, who: Token, repo: Repo) -> Level | None:
        """What they may do in a Repo of their forge; None: nothing, also not see it."""
        if repo.connection != who.connection:
            return None
        kept = self._kept.setdefault((repo.id, who.user), _Kept())
        self._kept.move_to_end((repo.id, who.user))
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        async with kept.lock:
            if self._now() - kept.asked_at >= BELIEVED_S:
                await self._ask(kept, who, repo)
            return kept.level

    async def seen(self, who: Token, repos: Iterable[Repo]) -> frozenset[str]:
        """The ids of those that they see."""
        theirs = [repo for repo in repos if repo.connection == who.connection]
        levels = await asyncio.gather(*(self.level(who, repo) for repo in theirs))
        return frozenset(
            repo.id for repo, level in zip(theirs, levels, strict=True) if level is not None
        )

    async def _ask(self, kept: _Kept, who: Token, repo: Repo) -> None:
        async with self._free:
            told = await self._members.permission(repo, Account(id=who.user, login=who.login))
        now = self._now()
        kept.asked_at = now
        match told:
            case Permission():
                kept.level, kept.told_at = LEVELS.get(told), now
            case Later() if now - kept.told_at < LAST_WORD_S:
                # Asked again with the next request, once the last word has had its time.
                kept.asked_at = min(now, kept.told_at + LAST_WORD_S - BELIEVED_S)
            case Later():
                kept.level, kept.asked_at = None, now - BELIEVED_S + AGAIN_S
            case Refused():
                log.info("forge_says_no_level", repo=repo.id, who=who.name, reason=told.reason)
                kept.level = None
