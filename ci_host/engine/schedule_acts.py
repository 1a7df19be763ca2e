"""Schedule acts: what a person may do to a schedule from outside. One write each, or none."""

from collections.abc import Callable

import msgspec

from ci_host.access import Token
from ci_host.engine.people import PersonRefused, check_sendable
from ci_host.ports import Conflict, Timetables, Unavailable
from pipelines.ids import RunId
from pipelines.schedule import Entry, Hold, RunNow, Timetable, beginning_of

TRIES_MAX = 50


class ScheduleActs:
    """`repo` is a Repo's id; `name` a schedule's, or `<pipeline>/<name>` where two share one."""

    def __init__(
        self,
        timetables: Timetables,
        *,
        new_id: Callable[[], str],
        shards: int,
    ) -> None:
        self._timetables = timetables
        self._new_id = new_id
        self._shards = shards

    async def pause(self, repo: str, name: str, who: Token) -> Entry:
        """Begin nothing of it until it is resumed. Its alarms ring on, so that this is one write.

        Raises PersonRefused, Unavailable.
        """

        now = await self._timetables.now()

        def hold(entry: Entry) -> Entry:
            paused = entry.paused or Hold(by=who.name, at=now)
            return msgspec.structs.replace(entry, paused=paused)

        return await self._change(repo, name, hold)

    async def resume(self, repo: str, name: str) -> Entry:
        """Go on with what is due from now on. Raises PersonRefused, Unavailable."""

        now = await self._timetables.now()

        def go_on(entry: Entry) -> Entry:
            if entry.paused is None:
                return entry
            after = max(entry.after, now)
            return msgspec.structs.replace(entry, paused=None, after=after)

        return await self._change(repo, name, go_on)

    async def run_now(self, repo: str, name: str, who: Token, key: str) -> RunId:
        """Have a Run begun; answers which it will be. Raises PersonRefused, Unavailable."""
        check_sendable("the key", key)
        _, table = await self._timetables.read(repo)
        entry = _found(table, name)
        wish = RunNow(
            repo=repo,
            pipeline=entry.pipeline,
            name=entry.schedule.name,
            at=await self._timetables.now(),
            by=who.name,
            key=key or self._new_id(),
        )
        await self._timetables.ask(wish)
        return RunId(beginning_of(entry, wish, self._shards).run)

    async def _change(self, repo: str, name: str, how: Callable[[Entry], Entry]) -> Entry:
        for _ in range(TRIES_MAX):
            revision, table = await self._timetables.read(repo)
            entry = _found(table, name)
            wanted = how(entry)
            if wanted == entry:
                return entry
            try:
                await self._timetables.write(table.with_entry(wanted), after=revision)
            except Conflict:
                continue
            return wanted
        raise Unavailable(f"the schedules of {repo} are changed by too many at once")


def _found(table: Timetable, name: str) -> Entry:
    # A pipeline's name has no slash: in full, it is only one.
    in_full = [e for e in table.entries if name == f"{e.pipeline}/{e.schedule.name}"]
    found = in_full or [entry for entry in table.entries if name == entry.schedule.name]
    if len(found) == 1:
        return found[0]
    if found:
        ways = ", ".join(f"{e.pipeline}/{e.schedule.name}" for e in found)
        raise PersonRefused(409, f"there are several schedules {name!r}; say which: {ways}")
    names = ", ".join(e.schedule.name for e in table.entries) or "none"
    raise PersonRefused(404, f"there is no schedule {name!r} here (there is: {names})")
