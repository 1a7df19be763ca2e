"""Ref news: what is new in a Repo's refs, of which no Delivery told, becomes a Delivery.

Theory of operation. A Sight says how the refs were when everything new in them had been seen to. A
ref that leads elsewhere now is news. Either a Delivery told of it since, or one is still on its way
(so it has a grace), or none will come: then it is recorded into the inbox as what the host saw, and
goes the way of all others. Only after that the next Sight is written.

So one may die at any line. Before the Delivery is recorded nothing has happened; after it the old
Sight leads to the same Delivery, whose id is made of the ref, its commit and the Sight that it was
compared with, and which is recorded once. Should the forge's own word come after all, or twice, the
Run is the same: its id is made of the ref and its commit.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping

import msgspec
import structlog

from ci_host.ports import Conflict
from ci_host.ref_ports import Hearsay, SeenRef, Sight, Sights, Word
from pipelines.repo import Delivery, ForgeKind, Repo
from webhooks.inbox import Inbox
from webhooks.reconciled import RECONCILED_EVENT, Reconciled

# Deliveries that one look makes; what is beyond is seen to by the next.
NEWS_MAX = 100

log = structlog.get_logger()


class RefNews:
    """What it remembers by itself is a saving: which Sights are as they were, and since when
    something is new. A Repo is given to it by one task at a time."""

    def __init__(
        self,
        sights: Sights,
        hearsay: Hearsay,
        inbox: Inbox,
        *,
        grace_s: float,
        now: Callable[[], float],
        elapsed: Callable[[], float],
    ) -> None:
        """`now`: seconds since the epoch; `elapsed`: of a clock that nobody sets."""
        self._sights = sights
        self._hearsay = hearsay
        self._inbox = inbox
        self._grace_s = grace_s
        self._now = now
        self._elapsed = elapsed
        self._as_seen: dict[str, bytes] = {}
        self._since: dict[str, dict[str, float]] = {}

    async def take(
        self, repo: Repo, kind: ForgeKind, refs: Mapping[str, SeenRef], at: float
    ) -> bool:
        """See to what is new in the refs, as a look that began at `at` found them.

        True: look again soon, something waits. Raises Unavailable, InboxUnavailable: then take it
        again.
        """
        seen = {ref: one.commit for ref, one in refs.items()}
        digest = _digest(seen)
        if self._as_seen.get(repo.id) == digest:
            return False
        self._as_seen.pop(repo.id, None)
        revision, sight = await self._sights.read(repo.id)
        if sight is None:
            # What was there before is not news.
            sight = Sight(repo=repo.id, at=at, refs={})
            settled, waits = list(seen), False
        else:
            settled, waits = await self._settle(repo, kind, refs, sight, revision)
        if settled or revision == 0:
            next_sight = Sight(repo=repo.id, at=at, refs=_moved_on(sight.refs, seen, settled))
            try:
                await self._sights.write(next_sight, after=revision)
            except Conflict:
                return True
        if not waits:
            self._as_seen[repo.id] = digest
        return waits

    async def _settle(
        self,
        repo: Repo,
        kind: ForgeKind,
        refs: Mapping[str, SeenRef],
        sight: Sight,
        revision: int,
    ) -> tuple[list[str], bool]:
        """Which refs' news has been seen to now, and whether there is other."""
        moved = [
            ref
            for ref in sorted(sight.refs.keys() | refs.keys())
            if sight.refs.get(ref, "") != _commit(refs, ref)
        ]
        words = await self._hearsay.told(repo.id, moved) if moved else {}
        untold = [ref for ref in moved if not _is_told(words.get(ref), refs.get(ref), sight)]
        ripe = self._ripe(repo.id, untold)[:NEWS_MAX]
        for ref in ripe:
            await self._record(repo, kind, ref, _commit(refs, ref), sight, revision)
            # What comes of this ref next has a grace of its own.
            del self._since[repo.id][ref]
        waiting = set(untold) - set(ripe)
        return [ref for ref in moved if ref not in waiting], bool(waiting)

    def _ripe(self, repo: str, untold: Iterable[str]) -> list[str]:
        """Those of which somebody could have told for long enough."""
        before, now = self._since.pop(repo, {}), self._elapsed()
        since = {ref: before.get(ref, now) for ref in untold}
        if since:
            self._since[repo] = since
        return [ref for ref, first in since.items() if now - first >= self._grace_s]

    async def _record(
        self, repo: Repo, kind: ForgeKind, ref: str, commit: str, sight: Sight, revision: int
    ) -> None:
        before = sight.refs.get(ref, "")
        what = Reconciled(
            external_id=repo.external_id, name=repo.name, ref=ref, commit=commit, before=before
        )
        delivery = Delivery(
            connection=repo.connection,
            id=delivery_of(repo.id, ref, commit, revision),
            kind=kind,
            event=RECONCILED_EVENT,
            received_at=self._now(),
            body=msgspec.json.encode(what).decode(),
        )
        recorded = await self._inbox.record(delivery)
        said = {"repo": repo.id, "ref": ref, "commit": commit, "delivery": delivery.id}
        log.info("push_was_not_told", **said, recorded=recorded)


def delivery_of(repo: str, ref: str, commit: str, revision: int) -> str:
    """The id of the Delivery of this news. The Sight's revision is in it: a ref may go back to
    where it was, and that is news again."""
    digest = hashlib.sha256(f"{repo}\0{ref}\0{commit}\0{revision}".encode()).hexdigest()
    return f"reconciled-{digest[:32]}"


def _is_told(word: Word | None, seen: SeenRef | None, sight: Sight) -> bool:
    """Whether a Delivery told of just this, since the refs were last seen."""
    if word is None or word.at < sight.at:
        return False
    return word.commit in ((seen.commit, seen.object) if seen else ("",))


def _commit(refs: Mapping[str, SeenRef], ref: str) -> str:
    """Where a ref leads; empty: it is gone."""
    return refs[ref].commit if ref in refs else ""


def _moved_on(refs: dict[str, str], seen: dict[str, str], settled: Iterable[str]) -> dict[str, str]:
    """The refs of a Sight with what is settled as it was seen."""
    after = dict(refs)
    for ref in settled:
        if ref in seen:
            after[ref] = seen[ref]
        else:
            after.pop(ref, None)
    return after


def _digest(seen: dict[str, str]) -> bytes:
    text = "".join(f"{ref}\0{seen[ref]}\n" for ref in sorted(seen))
    return hashlib.sha256(text.encode()).digest()
