"""Reconciler: looks at the refs of every Repo again and again, and has what is new seen to.

For pushes whose webhooks a forge lost, and for forges that cannot reach us. Here: which Repos are
looked at, how many at once, and what becomes of those that do not answer. How often is
`attention.py`'s; what is new in the refs, and what becomes of that, `ref_news.py`'s.

A Connection that does not answer is let alone for a while, and then asked for one Repo; the others
follow when that one is answered. What is not compared is told where people can see it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import structlog

from ci_host.engine.attention import Attention
from ci_host.engine.change_lists import ChangeLists
from ci_host.engine.ref_news import Look, RefNews
from ci_host.engine.renames import NotOurs, Renames
from ci_host.engine.rounds import PAUSE_S_FIRST, Pauses, Rounds
from ci_host.ports import SourceRefused, SourceUnavailable, Unavailable
from ci_host.ref_ports import NotCompared, PullSource, RefSource, SeenRef, Sights, pulls_of
from pipelines.event import Event
from pipelines.repo import Connection, Repo
from webhooks.errors import InboxUnavailable
from webhooks.forge import Later, Refused

AT_ONCE_MAX = 4
# In which a Delivery that is on its way may still come. A shorter interval has a shorter one.
GRACE_S = 30.0
# A Connection that does not answer is asked at least so often, a Repo that it refuses at least so.
UNAVAILABLE_S_MAX = 600.0
REFUSED_S_MAX = 3_600.0
TICK_S = 1.0
STORE_RETRY_S = 5.0

log = structlog.get_logger()


class Reconciler:
    """`repos` and `connections` are those that are registered now, as somebody else keeps them."""

    def __init__(
        self,
        source: RefSource,
        pulls: PullSource,
        news: RefNews,
        sights: Sights,
        repos: Mapping[str, Repo],
        connections: Mapping[str, Connection],
        attention: Attention,
        lists: ChangeLists,
        renames: Renames,
        *,
        interval_s: float,
        now: Callable[[], float],
        elapsed: Callable[[], float],
    ) -> None:
        """`now`: seconds since the epoch; `elapsed`: of a clock that nobody sets."""
        self._source = source
        self._pulls = pulls
        self._news = news
        self._sights = sights
        self._repos = repos
        self._connections = connections
        self._attention = attention
        self._lists = lists
        self._renames = renames
        self._now = now
        self._elapsed = elapsed
        self._soon_s = min(GRACE_S, interval_s)
        self._rounds = Rounds(interval_s, elapsed())
        first_s = min(PAUSE_S_FIRST, interval_s)
        # By Connection, and by Repo: of two that fail in turn, one may be well, and the other huge.
        self._away = Pauses(first_s, UNAVAILABLE_S_MAX)
        self._silent = Pauses(first_s, UNAVAILABLE_S_MAX)
        self._refused = Pauses(first_s, REFUSED_S_MAX)
        self._asked: set[str] = set()
        self._told: dict[str, NotCompared] | None = None
        self._room = asyncio.Semaphore(AT_ONCE_MAX)
        # Of its own: a forge that hangs must not take the threads in which commits are fetched.
        self._threads = ThreadPoolExecutor(AT_ONCE_MAX, "refs")

    async def serve(self) -> None:
        """Look for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                while True:
                    for repo in self.due():
                        await self._room.acquire()
                        group.create_task(self._look_in_room(repo))
                    await asyncio.sleep(TICK_S)
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _listen(self) -> None:
        while True:
            await self.hear()
            await asyncio.sleep(TICK_S)

    async def hear(self) -> None:
        """Ask the Forges that can say so for what has changed, if it is time to."""
        try:
            await self._lists.ask()
        except Exception:  # the edge: without lists one looks by oneself
            log.exception("lists_broke")

    def due(self) -> list[Repo]:
        """Those that are to be looked at now."""
        now = self._elapsed()
        if self._rounds.count != len(self._repos):
            self._rounds.meet(list(self._repos), now)
        for repo, is_urgent in self._attention.woken().items():
            self._rounds.no_later(repo, now if is_urgent else self._rounds.moment(repo, now))
        return [self._repos[repo] for repo in self._rounds.due(now)]

    async def _look_in_room(self, repo: Repo) -> None:
        try:
            await self.look(repo)
        finally:
            self._room.release()

    async def look(self, repo: Repo) -> None:
        """Look at the refs of one that is due, unless it is let alone; and plan the next look."""
        now, connection = self._elapsed(), repo.connection
        free = max(
            self._away.until(connection), self._silent.until(repo.id), self._refused.until(repo.id)
        )
        if now < free:
            self._rounds.at(repo.id, free)
            return
        in_doubt = self._away.is_in_doubt(connection)
        if in_doubt and connection in self._asked:
            self._rounds.at(repo.id, now + TICK_S)
            return
        if in_doubt:
            self._asked.add(connection)
        try:
            again_s = await self._compare(repo)
        except (Unavailable, InboxUnavailable) as error:
            log.warning("refs_later", repo=repo.id, reason=str(error), delay_s=STORE_RETRY_S)
            again_s = STORE_RETRY_S
        except Exception:  # the edge: one Repo's trouble must not stop the others
            log.exception("refs_broke", repo=repo.id)
            again_s = self._refused.failed(repo.id, self._elapsed())
        finally:
            self._asked.discard(connection)
        now = self._elapsed()
        if again_s is None:
            pause_s = self._attention.pause_s(repo.id, self._news.moved(repo.id))
            self._rounds.again(repo.id, now, pause_s)
        else:
            self._rounds.at(repo.id, now + again_s)

    async def _compare(self, repo: Repo) -> float | None:
        """In how many seconds to look again; None: when its moment comes."""
        began = self._now()
        try:
            refs = await self._ask(repo)
            self._away.went_well(repo.connection)
            self._silent.went_well(repo.id)
            await self._take_back(repo.connection)
            kind = self._connections[repo.connection].kind
            look = Look(began, refs, await self._open_pulls(repo, began))
            waits = await self._news.take(repo, kind, look)
        except SourceUnavailable as error:
            pause = self._away.failed(repo.connection, self._elapsed())
            pause = max(pause, self._silent.failed(repo.id, self._elapsed()))
            what = NotCompared(connection=repo.connection, reason=str(error), since=began)
            await self._tell(what, pause)
            return pause
        except SourceRefused as error:
            return await self._refuse(repo, error, began)
        self._refused.went_well(repo.id)
        if waits:
            # What is told of it may be that its news are another's, which is seen when they are.
            return self._soon_s
        await self._take_back(repo.id)
        return None

    async def _refuse(self, repo: Repo, error: SourceRefused, began: float) -> float:
        """In how many seconds to look again. What was only renamed is followed, and is not told."""
        self._away.went_well(repo.connection)
        await self._take_back(repo.connection)
        try:
            if not isinstance(error, NotOurs) and await self._was_renamed(repo):
                return self._soon_s
        except NotOurs as other:
            error = other
        pause = self._refused.failed(repo.id, self._elapsed())
        what = NotCompared(connection=repo.connection, repo=repo.id, reason=str(error), since=began)
        await self._tell(what, pause)
        return pause

    async def _was_renamed(self, repo: Repo) -> bool:
        """Whether it has another name by now, which was followed. Raises NotOurs."""
        try:
            told = await self._renames.check(repo)
        except NotOurs:
            raise
        except SourceRefused as error:
            # Git's reason is the nearer one.
            log.debug("name_not_confirmed", repo=repo.id, reason=str(error))
            return False
        return isinstance(told, Repo) and told != repo

    async def _ask(self, repo: Repo) -> Mapping[str, SeenRef]:
        if repo.connection not in self._connections:
            raise SourceRefused(f"connection {repo.connection!r} of {repo.name} is not there")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._source.refs, repo)

    async def _open_pulls(self, repo: Repo, began: float) -> Sequence[Event] | None:
        """None: nobody could be asked now. That is told, and keeps no push from being seen."""
        told = await self._pulls.open_pulls(repo)
        if isinstance(told, Later | Refused):
            what = NotCompared(
                connection=repo.connection,
                repo=repo.id,
                reason=f"its open pull requests cannot be listed: {told.reason}",
                since=began,
                pulls=True,
            )
            await self._tell(what, self._rounds.interval_s)
            return None
        await self._take_back(pulls_of(repo.id))
        forks = any(one.pull_request and one.pull_request.is_fork for one in told or ())
        self._attention.has_forks(repo.id, open_now=forks)
        return told

    async def _tell(self, what: NotCompared, pause_s: float) -> None:
        said = {"connection": what.connection, "repo": what.repo, "reason": what.reason}
        told = await self._what_is_told()
        before = told.get(what.subject)
        if before is not None and before.reason == what.reason:
            log.debug("refs_still_not_compared", **said, again_in_s=pause_s)
            return
        log.warning("refs_not_compared", **said, again_in_s=pause_s)
        if before is not None:
            what = msgspec.structs.replace(what, since=before.since)
        await self._sights.tell(what)
        told[what.subject] = what

    async def _take_back(self, subject: str) -> None:
        told = await self._what_is_told()
        if subject in told:
            await self._sights.take_back(subject)
            del told[subject]
            log.info("refs_compared_again", what=subject)

    async def _what_is_told(self) -> dict[str, NotCompared]:
        """What is not compared, also what an earlier life has told."""
        if self._told is None:
            self._told = {one.subject: one for one in await self._sights.not_compared()}
        return self._told
