"""PullReports: what a pull request's comment is made of, kept as its Runs go on.

Every Turn and every Notice that says something else than before replaces the one record of its pull
request; whoever writes the comment reads the newest. Only the newest commit counts: what an older
one still does changes nothing. May be told twice, and by several processes at once.
"""

from collections.abc import Callable, Sequence

import msgspec
import structlog

from ci_host.comment_ports import CommentBook, FailedJob, PullReport, RunLine
from ci_host.engine.run_reports import last_reports
from ci_host.ports import Conflict, Damaged, HistoryStore
from pipelines.event import Event
from pipelines.events import JobFinished, RunStarted
from pipelines.ids import RunId
from pipelines.job import Outcome
from pipelines.repo import Repo
from pipelines.status import Standing, Status, context_of
from pipelines.turn import Turn

# So many others changed the record first.
TRIES_MAX = 50
CONTEXTS_MAX = 50
FAILED_JOBS_MAX = 3
FAILED_TESTS_MAX = 10
# A Run that somebody cancelled, or that a newer push replaced, is nobody's bad news.
NEWS = frozenset({Standing.FAILED, Standing.ERRORED, Standing.TIMED_OUT, Standing.WAITING})
BROKEN = frozenset({"failed", "error"})

log = structlog.get_logger()


class PullReports:
    """`writes`: whether comments are written in a Repo, by connection, repo id and name."""

    def __init__(
        self, book: CommentBook, history: HistoryStore, writes: Callable[[str, str, str], bool]
    ) -> None:
        self._book, self._history, self._writes = book, history, writes

    def follows(self, started: RunStarted) -> bool:
        """Whether what this Run does is shown under a pull request."""
        if started.event.pull_request is None:
            return False
        return self._writes(started.connection, started.repo, started.repo_name)

    async def tell(self, started: RunStarted, turn: Turn, told: Sequence[Status]) -> None:
        """What this Turn changes. `told`: all that it says of the commit. Raises Unavailable."""
        context = context_of(started.event, started.pipeline)
        ours = [status for status in told if status.context == context]
        if not ours or not self.follows(started):
            return
        last = ours[-1]
        line = RunLine(
            context=context,
            standing=last.stands,
            said=last.description,
            url=last.target_url,
            run=started.run,
            turn=turn.number,
            began_at=turn.now if turn.number == 1 else 0.0,
            failed=await self._failed(started, turn) if last.is_last else [],
        )
        is_new = turn.number == 1 and started.rerun is None and started.continues is None
        place = (started.connection, started.repo, started.repo_name)
        await self._change(place, started.event, line, is_new=is_new)

    async def note(self, repo: Repo, event: Event, status: Status) -> None:
        """What is said of a pull request that no Run speaks for. Raises Unavailable."""
        place = (repo.connection, repo.id, repo.name)
        if event.pull_request is None or not self._writes(*place):
            return
        line = RunLine(
            context=status.context,
            standing=status.stands,
            said=status.description,
            url=status.target_url,
            began_at=status.at,
        )
        await self._change(place, event, line, is_new=True)

    async def _change(
        self, place: tuple[str, str, str], event: Event, line: RunLine, *, is_new: bool
    ) -> None:
        assert event.pull_request is not None, "asked only of pull requests"
        connection, repo, name = place
        fresh = PullReport(
            connection=connection,
            repo=repo,
            repo_name=name,
            number=event.pull_request.number,
            commit=event.commit,
            head_at=line.began_at,
            lines={line.context: line},
            is_news=line.standing in NEWS,
        )
        for _ in range(TRIES_MAX):
            revision, before = await self._book.read(connection, repo, fresh.number)
            after = merged(before, fresh, line, is_new=is_new)
            if after is None:
                return
            try:
                return await self._book.write(after, after=revision)
            except Conflict:
                continue
        log.error("pull_report_lost", repo=repo, number=fresh.number, tries=TRIES_MAX)

    async def _failed(self, started: RunStarted, turn: Turn) -> list[FailedJob]:
        if turn.end is None or turn.end.error is None:
            return []
        try:
            inputs = await self._history.inputs_after(RunId(started.run), 0)
        except Damaged:
            return []
        kinds = {Outcome.SUCCEEDED, Outcome.CANCELLED}
        found = [job for job in last_reports(inputs, turn.through) if job.outcome not in kinds]
        # The one that ended the Run first.
        found.sort(key=lambda job: job.key != turn.end.error.step)  # type: ignore[union-attr]
        return [_failed_job(job) for job in found[:FAILED_JOBS_MAX]]


def merged(
    before: PullReport | None, fresh: PullReport, line: RunLine, *, is_new: bool
) -> PullReport | None:
    """The record with one more line; None: it says nothing new. Pure.

    `is_new`: the line is the first word of what an event asked for, and so may be of a newer commit
    than the one that is known; what runs once more, or runs still, may not.
    """
    if before is None:
        return fresh
    if fresh.commit != before.commit:
        if not is_new or fresh.head_at < before.head_at:
            return None
        return msgspec.structs.replace(fresh, is_news=fresh.is_news or before.is_news)
    there = before.lines.get(line.context)
    if there is not None:
        if there.run == line.run and line.run:
            if line.turn < there.turn:
                return None
            line = msgspec.structs.replace(line, began_at=there.began_at)
        elif line.began_at < there.began_at:
            return None
    elif len(before.lines) >= CONTEXTS_MAX:
        return None
    if there == line:
        return None
    return msgspec.structs.replace(
        fresh,
        head_at=before.head_at,
        lines={**before.lines, line.context: line},
        is_news=fresh.is_news or before.is_news,
    )


def _failed_job(job: JobFinished) -> FailedJob:
    tests = job.tests.tests if job.tests else []
    broken = [f"{one.suite} {one.name}".strip() for one in tests if one.outcome in BROKEN]
    return FailedJob(
        key=job.key,
        job=job.job,
        message=job.message,
        log_bytes=job.log_bytes,
        tests=[name[:300] for name in broken[:FAILED_TESTS_MAX]],
        tests_failed=job.tests.failed if job.tests else 0,
    )
