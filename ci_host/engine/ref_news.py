"""Ref news: what is new in a Repo's refs, of which no Delivery told, becomes a Delivery.

Theory of operation. A Sight says how the refs were when everything new in them had been seen to. A
ref that leads elsewhere now is news. Either a Delivery told of it since, or one is still on its way
(so it has a grace), or none will come: then it is recorded into the inbox as what the host saw, and
goes the way of all others. Only after that the next Sight is written.

So one may die at any line. Before the Delivery is recorded nothing has happened; after it the old
Sight leads to the same Delivery, whose id is made of the ref, its commit and the Sight that it was
compared with, and which is recorded once. Should the forge's own word come after all, or twice, the
Run is the same: its id is made of the ref and its commit.

The head of a pull request is a ref as any other. Where nobody could be asked for those that are
open, the Sight keeps them as they were. That one is closed is no news.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from ci_host.engine.attention import Moved
from ci_host.ports import Conflict
from ci_host.ref_ports import Hearsay, SeenRef, Sight, Sights, Word
from pipelines.event import Event
from pipelines.refs import is_commit
from pipelines.repo import Delivery, ForgeKind, Repo
from webhooks.forge import Later
from webhooks.inbox import Inbox
from webhooks.reconciled import RECONCILED_EVENT, Reconciled

# Deliveries that one look makes; what is beyond is seen to by the next.
NEWS_MAX = 100

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a Repo found that began at `at`, in seconds since the epoch.

    `pulls`: the events of the pull requests that are open; None: nobody could be asked for them.
    """

    at: float
    refs: Mapping[str, SeenRef]
    pulls: Sequence[Event] | None = None


@dataclass(frozen=True, slots=True)
class _Settled:
    """Which refs' news has been seen to now, whether there is other that `waits`, and whether the
    last of it was `untold`."""

    refs: Sequence[str]
    waits: bool = False
    untold: bool = False


class RefNews:
    """What it remembers by itself is a saving: which Sights are as they were, and since when
    something is new. A Repo is given to it by one task at a time."""

    def __init__(
        self,
        sights: Sights,
        hearsay: Hearsay,
        inbox: Inbox,
        confirm: Callable[[Repo], Awaitable[Repo | Later]],
        *,
        missed: Callable[[str], None] = lambda _repo: None,
        grace_s: float,
        now: Callable[[], float],
        elapsed: Callable[[], float],
    ) -> None:
        """`confirm`: see Renames.check; asked after the refs were. `missed` hears of each Repo of
        which something was told by nobody. `now`: seconds since the epoch; `elapsed`: of a clock
        that nobody sets."""
        self._confirm = confirm
        self._missed = missed
        self._sights = sights
        self._hearsay = hearsay
        self._inbox = inbox
        self._grace_s = grace_s
        self._now = now
        self._elapsed = elapsed
        self._as_seen: dict[str, bytes] = {}
        self._moved: dict[str, Moved] = {}
        self._since: dict[str, dict[str, float]] = {}

    async def take(self, repo: Repo, kind: ForgeKind, look: Look) -> bool:
        """See to what is new in what a look found.

        True: look again soon, something waits. Raises Unavailable, InboxUnavailable: then take it
        again; SourceRefused: it is another repository's news, or may be, and nothing is recorded.
        """
        digest = _digest(look)
        if self._as_seen.get(repo.id) == digest:
            return False
        self._as_seen.pop(repo.id, None)
        revision, sight = await self._sights.read(repo.id)
        if sight is None:
            # What was there before is not news.
            sight = Sight(repo=repo.id, at=look.at, refs={})
            refs = _with_pulls(look, sight)
            settled = _Settled(list(refs))
        else:
            refs = _with_pulls(look, sight)
            settled = await self._settle(repo, kind, look, refs, sight, revision)
        has_pulls = sight.pulls or look.pulls is not None
        if settled.refs or revision == 0 or has_pulls != sight.pulls:
            after = _moved_on(sight.refs, refs, settled.refs)
            sight = Sight(
                repo=repo.id, at=look.at, refs=after, pulls=has_pulls, untold=settled.untold
            )
            try:
                await self._sights.write(sight, after=revision)
            except Conflict:
                return True
        self._moved[repo.id] = Moved(sight.at, sight.untold)
        if not settled.waits:
            self._as_seen[repo.id] = digest
        return settled.waits

    def moved(self, repo: str) -> Moved | None:
        """When something was last seen to move in it; None: it was not looked at in this life."""
        return self._moved.get(repo)

    async def _settle(
        self,
        repo: Repo,
        kind: ForgeKind,
        look: Look,
        refs: Mapping[str, SeenRef],
        sight: Sight,
        revision: int,
    ) -> _Settled:
        moved = [
            ref
            for ref in sorted(sight.refs.keys() | refs.keys())
            if sight.refs.get(ref, "") != _commit(refs, ref)
        ]
        # That a pull request is closed is no news, and those of before the first list are none.
        news = [one for one in moved if not is_pull(one) or (one in refs and sight.pulls)]
        words = await self._hearsay.told(repo.id, news) if news else {}
        untold = [ref for ref in news if not _is_told(ref, words.get(ref), refs.get(ref), sight)]
        ripe = self._ripe(repo.id, untold)[:NEWS_MAX]
        if ripe and not await self._is_its_own(repo):
            ripe = []
        pulls = {one.ref: one for one in look.pulls or ()}
        for ref in ripe:
            what = Reconciled(
                external_id=repo.external_id,
                name=repo.name,
                ref=ref,
                commit=_commit(refs, ref),
                before=sight.refs.get(ref, ""),
                pull=pulls.get(ref),
            )
            await self._record(repo, kind, what, revision)
            # What comes of this ref next has a grace of its own.
            del self._since[repo.id][ref]
        waiting = set(untold) - set(ripe)
        return _Settled(
            [ref for ref in moved if ref not in waiting],
            bool(waiting),
            # That a pull request is closed says nothing of how the others are told.
            untold=bool(ripe) or (sight.untold and len(untold) == len(news)),
        )

    async def _is_its_own(self, repo: Repo) -> bool:
        """Whether what the name leads to is the Repo. False: nobody says so now, or what was read
        was called otherwise; it is looked at again. Raises SourceRefused: it is not."""
        told = await self._confirm(repo)
        if isinstance(told, Later):
            log.warning("news_not_confirmed", repo=repo.id, reason=told.reason)
        return told == repo

    def _ripe(self, repo: str, untold: Iterable[str]) -> list[str]:
        """Those of which somebody could have told for long enough."""
        before, now = self._since.pop(repo, {}), self._elapsed()
        since = {ref: before.get(ref, now) for ref in untold}
        if since:
            self._since[repo] = since
        return [ref for ref, first in since.items() if now - first >= self._grace_s]

    async def _record(self, repo: Repo, kind: ForgeKind, what: Reconciled, revision: int) -> None:
        delivery = Delivery(
            connection=repo.connection,
            id=delivery_of(repo.id, what.ref, what.commit, revision),
            kind=kind,
            event=RECONCILED_EVENT,
            received_at=self._now(),
            body=msgspec.json.encode(what).decode(),
        )
        recorded = await self._inbox.record(delivery)
        said = {"repo": repo.id, "ref": what.ref, "commit": what.commit, "delivery": delivery.id}
        log.info("push_was_not_told", **said, recorded=recorded)
        self._missed(repo.id)


def delivery_of(repo: str, ref: str, commit: str, revision: int) -> str:
    """The id of the Delivery of this news. The Sight's revision is in it: a ref may go back to
    where it was, and that is news again."""
    digest = hashlib.sha256(f"{repo}\0{ref}\0{commit}\0{revision}".encode()).hexdigest()
    return f"reconciled-{digest[:32]}"


def _is_told(ref: str, word: Word | None, seen: SeenRef | None, sight: Sight) -> bool:
    """Whether a Delivery told of just this, since the refs were last seen.

    Of a pull request it does not matter when: a list may be older than the look, and one that is at
    a commit again is no other Run.
    """
    if word is None or (word.at < sight.at and not is_pull(ref)):
        return False
    if seen is None:
        return word.commit == ""
    if word.commit in (seen.commit, seen.object):
        return True
    # Bitbucket Cloud's list of pull requests cuts ids; what was told is whole.
    return not is_commit(seen.commit) and word.commit.startswith(seen.commit)


def _commit(refs: Mapping[str, SeenRef], ref: str) -> str:
    """Where a ref leads; empty: it is gone."""
    return refs[ref].commit if ref in refs else ""


def is_pull(ref: str) -> bool:
    """Whether it is the head of a pull request, by whatever name its forge keeps it."""
    return not ref.startswith(("refs/heads/", "refs/tags/"))


def _with_pulls(look: Look, sight: Sight) -> dict[str, SeenRef]:
    """All refs of a look, the heads of pull requests too: as they are, or were when last asked."""
    if look.pulls is None:
        heads = {ref: commit for ref, commit in sight.refs.items() if is_pull(ref)}
    else:
        heads = {one.ref: one.commit for one in look.pulls}
    return {**look.refs, **{ref: SeenRef(commit=one, object=one) for ref, one in heads.items()}}


def _moved_on(
    before: Mapping[str, str], refs: Mapping[str, SeenRef], settled: Iterable[str]
) -> dict[str, str]:
    """The refs of a Sight with what is settled as it was seen."""
    after = dict(before)
    for ref in settled:
        if ref in refs:
            after[ref] = refs[ref].commit
        else:
            after.pop(ref, None)
    return after


def _digest(look: Look) -> bytes:
    lines = [f"{ref}\0{look.refs[ref].commit}\n" for ref in sorted(look.refs)]
    if look.pulls is not None:
        lines += ["pulls\n", *sorted(f"{one.ref}\0{one.commit}\n" for one in look.pulls)]
    return hashlib.sha256("".join(lines).encode()).digest()
