"""Concurrency: letting Runs into their groups, one at a time, and out again.

A group is one record that everybody changes by compare-and-set; there is no process that owns it.
After every change the record says whom to tell: the holder that it holds, the ousted that they are
to end. Both may be told twice, and are told again by whoever repairs.
"""

from collections.abc import Callable, Sequence
from functools import partial

from ci_host.ports import Conflict, Damaged, Groups, HistoryStore, Unavailable
from pipelines.commands import OpenGroup
from pipelines.events import CancelRequested, GroupEntered, GroupRefused, RunStarted
from pipelines.group import Group, Member
from pipelines.ids import RunId, successor_id
from pipelines.run import FINAL, RunState

# So many others changed the group first; the wake-up comes again.
TRIES_MAX = 50


class Concurrency:
    """Over the groups and the Histories of their members. Every act may be repeated."""

    def __init__(self, groups: Groups, history: HistoryStore) -> None:
        self._groups = groups
        self._history = history

    async def enter(self, started: RunStarted, wish: OpenGroup) -> None:
        """Put the Run into its group; whoever is first there is told to begin."""

        above = await self._callers(started)

        def enter(group: Group) -> Group:
            refused = _refusal(group, started, wish, above) is not None
            return group if refused else group.entered(started.run, wish.policy, started.level)

        found = await self._change(started.repo, wish.key, enter)
        refusal = _refusal(found, started, wish, above)
        if refusal is not None:
            reason = f"concurrency group {wish.key!r}: {refusal}"
            told = GroupRefused(key=wish.key, reason=reason)
            await self._history.append_input(RunId(started.run), told)
        elif (end := await self._end_of(RunId(started.run))) is not None:
            # Another engine was faster, to the very end: what it took out must not be in again.
            # Whether it has begun the successor is not known: nothing may be told to that one yet.
            out = _out(started.run, end is RunState.CONTINUED)
            found = await self._change(started.repo, wish.key, out)
        await self._tell(started.repo, wish.key, found)

    async def leave(
        self, started: RunStarted, wish: OpenGroup, *, is_continued: bool = False
    ) -> None:
        """Take the Run out; the next one is told to begin. Its successor takes its place, and must
        have begun: whatever was told to it before that would be in its place for ever."""
        found = await self._change(started.repo, wish.key, _out(started.run, is_continued))
        begun = successor_id(RunId(started.run)) if is_continued else ""
        await self._tell(started.repo, wish.key, found, begun=begun)

    async def _callers(self, started: RunStarted) -> list[str]:
        """The Runs that wait for this one, nearest first."""
        found: list[str] = []
        while (parent := started.parent) is not None and not parent.detached:
            found.append(parent.run)
            above = await self._history.started(RunId(parent.run))
            if above is None:
                break
            started = above
        return found

    async def _change(self, repo: str, key: str, how: Callable[[Group], Group]) -> Group:
        for _ in range(TRIES_MAX):
            revision, found = await self._groups.read(repo, key)
            wanted = how(found)
            if wanted == found:
                return found
            try:
                await self._groups.write(repo, key, wanted, after=revision)
            except Conflict:
                continue
            return wanted
        raise Unavailable(f"concurrency group {key!r} is too busy")

    async def _tell(self, repo: str, key: str, group: Group, *, begun: str = "") -> None:
        """`begun`: this one has begun for sure, whatever a store that lags behind says."""
        for member in group.members:
            if not member.ousted_by or not (member.run == begun or await self._is_begun(member)):
                continue
            if await self._end_of(RunId(member.run)) is None:
                wish = CancelRequested(
                    id=f"ousted:{member.ousted_by}",
                    by=f"run {member.ousted_by}",
                    reason=f"a later run is in concurrency group {key!r}",
                )
                await self._history.append_input(RunId(member.run), wish)
        while group.members:
            first = group.members[0].run
            end = await self._end_of(RunId(first))
            if end is None:
                await self._let_in(key, RunId(first))
                return
            # It is over, and whoever ended it died before it could take it out.
            group = await self._change(repo, key, _out(first, end is RunState.CONTINUED))

    async def _is_begun(self, member: Member) -> bool:
        """A successor may be in it before it is begun, and before that nothing can be told it."""
        return await self._history.started(RunId(member.run)) is not None

    async def _let_in(self, key: str, run: RunId) -> None:
        try:
            last = await self._history.last_turn(run)
        except Damaged:
            # It cannot go on, and is ended when it is told anything; then the next one is let in.
            is_waiting = True
        else:
            wish = last.turn.open.group if last is not None else None
            is_waiting = wish is not None and not (wish.entered or wish.leaving)
        if is_waiting:
            await self._history.append_input(run, GroupEntered(key=key))

    async def _end_of(self, run: RunId) -> RunState | None:
        """How the Run ended, or None: it did not."""
        state = await self._history.state(run)
        return state if state in FINAL else None


def _out(run: str, is_continued: bool) -> Callable[[Group], Group]:
    if is_continued:
        return partial(Group.handed_over, run=run, to=successor_id(RunId(run)))
    return partial(Group.left, run=run)


def _refusal(
    group: Group, started: RunStarted, wish: OpenGroup, callers: Sequence[str]
) -> str | None:
    for above in callers:
        if group.holds(above):
            # It would wait for its caller, which waits for it.
            return f"run {above}, which called this one, is in it"
    return group.refuses(started.run, wish.policy)
