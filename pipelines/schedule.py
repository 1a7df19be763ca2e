"""Schedule: what a pipeline declares with `on.schedule`, and a Repo's Timetable of them. Pure.

A Timetable is one record: the newest commit of the default branch, its schedules, and how far each
has come. When a time is due is asked of a Calendar, which knows cron and time zones; what is then
begun is decided here.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from pipelines.event import Event, EventKind, Scheduled
from pipelines.ids import RunId
from pipelines.priority import Priority
from pipelines.trigger import run_of

SCHEDULES_MAX = 20
# Five fields of cron say minutes: nothing comes more often.
INTERVAL_S_MIN = 60
# What is begun no later than this was in time, whatever is said of what was missed.
ON_TIME_S = 60.0
# So many Runs are wanted by one decision; what is due beyond is decided after they are there.
BEGUN_MAX = 1_000
# A schedule that has come further than this was kept by a clock that was wrong.
AHEAD_S_MAX = 3_600.0
HOLDS_MAX = 100

RUNNING_STILL = "the run before was still going"
MISSED = "it was missed while Staunch was down"


class Overlap(StrEnum):
    """What a due time finds where the Run of an earlier one is still going.

    skip: nothing is begun · queue: its Run waits · cancel: the other is cancelled first · allow:
    both run.
    """

    SKIP = "skip"
    QUEUE = "queue"
    CANCEL = "cancel"
    ALLOW = "allow"


class CatchUp(StrEnum):
    """Which of the due times that were missed are begun late: none, the last one, or all."""

    NONE = "none"
    LAST = "last"
    ALL = "all"


class ScheduleRefused(Exception):
    """A declaration cannot be kept; `line` is where it stands in its file."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """One declaration. `limit` and `window_s` bound a catch-up of `all`: newest so many, no older.

    `line` is where `on.schedule` was called. The bounds are the SDK's, which a plan can bend.
    """

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    cron: Annotated[str, Meta(max_length=200)]
    tz: Annotated[str, Meta(max_length=200)] = "UTC"
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LAST
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    window_s: Annotated[float, Meta(ge=0)] = 86_400.0
    line: int = 1


def schedules_of(triggers: list[dict[str, Any]] | None) -> list[Schedule]:
    """The schedules among a pipeline's declarations. Raises ScheduleRefused."""
    found: list[Schedule] = []
    for trigger in triggers or []:
        if trigger.get("on") != "schedule":
            continue
        try:
            one = msgspec.convert({k: v for k, v in trigger.items() if k != "on"}, Schedule)
        except msgspec.ValidationError as error:
            line = trigger.get("line")
            where = line if isinstance(line, int) else None
            raise ScheduleRefused(f"a schedule cannot be read: {error}", where) from error
        if not one.name.isprintable():
            raise ScheduleRefused(f"a schedule's name must be printable: {one.name!r}", one.line)
        if len(found) == SCHEDULES_MAX:
            raise ScheduleRefused(f"a pipeline has at most {SCHEDULES_MAX} schedules", one.line)
        if any(one.name == other.name for other in found):
            raise ScheduleRefused(
                f"there are two schedules {one.name!r} in this pipeline; give each a name of its"
                " own with name=…",
                one.line,
            )
        found.append(one)
    return found


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Who paused it, and when (seconds since the epoch)."""

    by: str
    at: float


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """The newest due time for which nothing was begun, and why."""

    due: float
    reason: str


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One schedule in its Timetable.

    Every due time up to `after` is decided; `next` is the first behind it, None: there is none.
    `inputs` is what its Runs get: the pipeline's defaults. `priority` is the pipeline's.
    """

    pipeline: str
    file: str
    schedule: Schedule
    after: float
    inputs: Any = None
    priority: Priority = Priority.NORMAL
    next: float | None = None
    paused: Hold | None = None
    last_run: str = ""
    last_due: float | None = None
    skipped: Skipped | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by in its Repo: pipeline and name."""
        return self.pipeline, self.schedule.name


class Beginning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Run that is to be there: of which schedule, and for which due time.

    `key` and `by`: a person asked for it now, with this key.
    """

    pipeline: str
    name: str
    due: float
    run: str
    key: str = ""
    by: str = ""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that was paused when its declaration went; it is paused if it comes again."""

    pipeline: str
    name: str
    paused: Hold


class Timetable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Repo's schedules, at `commit` of its default branch `ref`, whose code is in `bundle`.

    `begun` are the Runs that its newest decision wants. Whoever writes the next version has seen
    to it that they are there.
    """

    repo: str
    ref: str = ""
    commit: str = ""
    bundle: str = ""
    entries: list[Entry] = []
    begun: list[Beginning] = []
    held: list[Held] = []

    @property
    def next(self) -> float | None:
        """When anything of it is due next."""
        return min((e.next for e in self.entries if e.next is not None), default=None)

    def entry(self, pipeline: str, name: str) -> Entry | None:
        """One of its schedules, or None."""
        return next((e for e in self.entries if e.key == (pipeline, name)), None)

    def due(self, now: float) -> list[Entry]:
        """The schedules that have something to decide."""
        return [e for e in self.entries if e.next is not None and e.next <= now]

    def with_entry(self, entry: Entry) -> "Timetable":
        """With this one in place of the one of the same key."""
        entries = [entry if e.key == entry.key else e for e in self.entries]
        return msgspec.structs.replace(self, entries=entries)


class Calendar(Protocol):
    """When a schedule is due; whoever knows cron and time zones implements it."""

    def next_due(self, schedule: Schedule, after: float) -> float | None:
        """The first due time later than `after`; None: there is none."""

    def newest_due(
        self, schedule: Schedule, after: float, until: float, at_most: int
    ) -> list[float]:
        """The newest due times in (after, until], in order."""


def declared(
    table: Timetable, wanted: Iterable[Entry], calendar: Calendar, **code: str
) -> Timetable:
    """The Timetable of a newer commit. `wanted` are its schedules as if they began now.

    One whose times have not changed goes on where it was; any stays paused if it was, also if it
    was gone meanwhile. `code` has `ref`, `commit` and `bundle`.
    """
    held = {(one.pipeline, one.name): one for one in table.held}
    gone = {entry.key: entry for entry in table.entries}
    entries = []
    for new in wanted:
        gone.pop(new.key, None)
        hold = held.pop(new.key, None)
        begun = msgspec.structs.replace(new, paused=None if hold is None else hold.paused)
        old = table.entry(*new.key) or begun
        is_same = _times(old.schedule) == _times(new.schedule)
        after = old.after if is_same else max(old.after, new.after)
        if after > new.after + AHEAD_S_MAX:
            after = new.after
        entries.append(
            msgspec.structs.replace(
                old,
                file=new.file,
                schedule=new.schedule,
                inputs=new.inputs,
                priority=new.priority,
                after=after,
                next=calendar.next_due(new.schedule, after),
            )
        )
    for entry in gone.values():
        if entry.paused is not None:
            name = entry.schedule.name
            held[entry.key] = Held(pipeline=entry.pipeline, name=name, paused=entry.paused)
    kept = list(held.values())[-HOLDS_MAX:]
    return msgspec.structs.replace(table, entries=entries, begun=[], held=kept, **code)


def _times(schedule: Schedule) -> tuple[str, str]:
    return schedule.cron, schedule.tz


def decided(
    table: Timetable,
    calendar: Calendar,
    now: float,
    busy: Sequence[tuple[str, str]],
    shards: int,
) -> Timetable:
    """The Timetable with what is due by `now` decided, up to BEGUN_MAX Runs of it.

    `busy` names the schedules whose newest Run is still going.
    """
    begun: list[Beginning] = []
    for entry in table.due(now):
        if len(begun) >= BEGUN_MAX:
            break
        schedule = entry.schedule
        after = entry.after
        if schedule.catch_up is CatchUp.ALL:
            after = max(after, min(now - schedule.window_s, now - ON_TIME_S))
        # Two can be in time: one at the edge of it, and the next minute's.
        dues = calendar.newest_due(schedule, after, now, max(schedule.limit, 2))
        chosen, skipped = _chosen(entry, dues, now, is_busy=entry.key in busy)
        for due in chosen:
            run = run_due(table.repo, entry, due, shards=shards)
            begun.append(Beginning(pipeline=entry.pipeline, name=schedule.name, due=due, run=run))
        moved = msgspec.structs.replace(
            entry, after=now, next=calendar.next_due(schedule, now), skipped=skipped
        )
        if chosen:
            moved = msgspec.structs.replace(moved, last_run=begun[-1].run, last_due=chosen[-1])
        table = table.with_entry(moved)
    return msgspec.structs.replace(table, begun=begun)


def without_lost(table: Timetable, lost: Mapping[str, str]) -> Timetable:
    """The Timetable without the Runs that can never be begun; `lost` says why, by Run."""
    for beginning in table.begun:
        entry = table.entry(beginning.pipeline, beginning.name)
        reason = lost.get(beginning.run)
        if entry is None or reason is None:
            continue
        skipped = Skipped(due=beginning.due, reason=reason)
        entry = msgspec.structs.replace(entry, skipped=skipped)
        if entry.last_run == beginning.run:
            entry = msgspec.structs.replace(entry, last_run="", last_due=None)
        table = table.with_entry(entry)
    return msgspec.structs.replace(table, begun=[one for one in table.begun if one.run not in lost])


def _chosen(
    entry: Entry, dues: list[float], now: float, *, is_busy: bool
) -> tuple[list[float], Skipped | None]:
    """The due times that are begun, and the newest that is not."""
    schedule = entry.schedule
    if entry.paused is not None:
        return [], entry.skipped
    in_time = [due for due in dues if now - due <= ON_TIME_S]
    late = [due for due in dues if now - due > ON_TIME_S]
    match schedule.catch_up:
        case CatchUp.NONE:
            late = []
        case CatchUp.LAST:
            late = [] if in_time else late[-1:]
        case CatchUp.ALL:
            late = late[-schedule.limit :]
    chosen, reason = [*late, *in_time], MISSED
    if schedule.overlap in (Overlap.SKIP, Overlap.CANCEL) and len(chosen) > 1:
        # The others would be skipped, or cancelled, for the sake of the last.
        chosen, reason = chosen[-1:], RUNNING_STILL
    if schedule.overlap is Overlap.SKIP and is_busy and chosen:
        chosen, reason = [], RUNNING_STILL
    left = [due for due in dues if due not in chosen]
    return chosen, Skipped(due=left[-1], reason=reason) if left else entry.skipped


def scheduled_of(entry: Entry, beginning: Beginning) -> Scheduled:
    """What the Run is told."""
    schedule = entry.schedule
    return Scheduled(
        name=schedule.name,
        cron=schedule.cron,
        tz=schedule.tz,
        due=beginning.due,
        overlap=schedule.overlap,
    )


class Alarm(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="alarm"):
    """Something of this Repo is due; no more than a hint: the Timetable says what."""

    repo: str
    due: float


class RunNow(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="run_now"):
    """A person wants a schedule's Run now. The same `key` twice is one Run."""

    repo: str
    pipeline: str
    name: str
    at: float
    by: str
    key: str


Ring = Alarm | RunNow


def run_due(repo: str, entry: Entry, due: float, *, shards: int, key: str = "") -> RunId:
    """The one Run of a schedule for a due time, or for a person's wish with this key."""
    beginning = Beginning(pipeline=entry.pipeline, name=entry.schedule.name, due=due, run="")
    event = Event(kind=EventKind.SCHEDULE, delivery=key, schedule=scheduled_of(entry, beginning))
    return run_of(repo, event, entry.pipeline, shards=shards)


def beginning_of(entry: Entry, wish: RunNow, shards: int) -> Beginning:
    """What a person's wish for a Run now asks for."""
    return Beginning(
        pipeline=entry.pipeline,
        name=entry.schedule.name,
        due=wish.at,
        run=run_due(wish.repo, entry, wish.at, shards=shards, key=wish.key),
        key=wish.key,
        by=wish.by,
    )
