"""What is known of a pull request for its comment: of its newest commit, whoever tells it when."""

import msgspec
import pytest

from ci_host.adapters.memory.comments import MemoryComments
from ci_host.adapters.memory.history import MemoryHistory
from ci_host.comment_ports import FailedJob
from ci_host.engine import statuses
from ci_host.engine.pull_reports import FAILED_TESTS_MAX, PullReports
from ci_host.engine.statuses import StatusReporter
from ci_host.ports import Conflict, TurnNews, Unavailable
from pipelines.commands import GateTerms, Open, OpenGate
from pipelines.event import Event, EventKind, PullRequest
from pipelines.events import JobFinished, Rerun
from pipelines.failure import Failure
from pipelines.ids import RunId, run_id
from pipelines.job import Outcome, ReportedTest, ReportedTests
from pipelines.run import RunState
from pipelines.status import Standing
from pipelines.turn import End, Turn
from tests.contract.test_history_store import first, turn
from tests.unit.engine.test_status_reporter import Feed, Outbox, Told

pytestmark = pytest.mark.anyio

OLD, NEW = "a" * 40, "b" * 40
CONTEXT = "staunch/pipeline (pull request)"


class World:
    """Runs of pull request 7, told by a reporter each as often as one likes."""

    def __init__(self) -> None:
        self.history, self.book, self.outbox = MemoryHistory(), MemoryComments(), Outbox()
        self.pulls = PullReports(self.book, self.history, lambda *place: place[2] != "off")

    async def begins(self, name: str, commit: str, now: float, **changes) -> RunId:
        run = run_id(name)
        request = PullRequest(number=7, action="opened", base_ref="main", head_ref="x")
        event = Event(kind=EventKind.PULL_REQUEST, commit=commit, pull_request=request)
        started = msgspec.structs.replace(first(run), event=event, **changes)
        await self.history.create(run, started)
        await self.tell(run, msgspec.structs.replace(turn(1), now=now))
        return run

    async def tell(self, run: RunId, *turns: Turn) -> list[Told]:
        told = [Told(TurnNews(run, one)) for one in turns]
        no_checks = lambda _: False  # noqa: E731 shorter so
        reporter = StatusReporter(
            Feed(told), self.history, self.outbox, "https://ci", no_checks, self.pulls
        )
        await reporter.serve()
        return told

    async def ends(self, run: RunId, number: int = 2, step: str = "unit") -> None:
        error = Failure(type="JobFailed", message="exit code 1", step=step)
        end = End(state=RunState.FAILED, error=error)
        await self.tell(
            run, msgspec.structs.replace(turn(number, through=9), state=end.state, end=end)
        )

    async def report(self):
        return (await self.book.read("git", "git/1", 7))[1]

    async def line(self):
        return (await self.report()).lines[CONTEXT]


@pytest.fixture
def world() -> World:
    return World()


def finished(key: str, outcome: Outcome = Outcome.FAILED, **changes) -> JobFinished:
    facts = {"job": f"job-{key}", "key": key, "attempt": 1, "outcome": outcome, "log_bytes": 10}
    return JobFinished(**{**facts, **changes})


async def test_a_run_that_begins_is_known_and_no_news(world: World) -> None:
    await world.begins("one", OLD, 1.0)
    report = await world.report()
    assert (report.commit, report.is_news) == (OLD, False)
    line = await world.line()
    assert (line.standing, line.said) == (Standing.RUNNING, "running")
    assert line.url == f"https://ci/runs/{run_id('one')}"


async def test_a_run_that_fails_is_news_with_the_jobs_and_tests_that_failed(world: World) -> None:
    run = await world.begins("one", OLD, 1.0)
    tests = [ReportedTest(name=f"t{n}", outcome="failed", suite="s") for n in range(12)]
    tests += [ReportedTest(name="good", outcome="passed")]
    reported = ReportedTests(passed=1, failed=12, tests=tests)
    for one in (
        finished("lint"),
        finished("good", Outcome.SUCCEEDED),
        finished("dropped", Outcome.CANCELLED),
        finished("unit", message="exit code 1", tests=reported),
    ):
        await world.history.append_input(run, one)
    await world.ends(run)
    report, line = await world.report(), await world.line()
    assert report.is_news and line.standing is Standing.FAILED
    assert [job.key for job in line.failed] == ["unit", "lint"]
    assert line.failed[0] == FailedJob(
        key="unit", job="job-unit", message="exit code 1", log_bytes=10,
        tests=[f"s t{n}" for n in range(FAILED_TESTS_MAX)], tests_failed=12,
    )  # fmt: skip


async def test_a_gate_that_waits_is_news_and_its_run_goes_on_under_the_same_line(world) -> None:
    run = await world.begins("one", OLD, 1.0)
    wants = Open(gates=[OpenGate(key="deploy", terms=GateTerms())])
    await world.tell(run, msgspec.structs.replace(turn(2), open=wants))
    line = await world.line()
    assert (line.standing, line.said, line.began_at) == (Standing.WAITING, "waits at deploy", 1.0)
    assert (await world.report()).is_news


async def test_what_a_run_of_an_older_commit_still_does_changes_nothing(world: World) -> None:
    old = await world.begins("one", OLD, 1.0)
    await world.begins("two", NEW, 2.0)
    await world.ends(old)
    report = await world.report()
    assert (report.commit, report.is_news) == (NEW, False)
    # Nor one that began before, and whose shard is told of later.
    await world.begins("late", OLD, 1.5)
    # Nor another attempt of an older one.
    again = Rerun(of=old, origin=old, attempt=2, by="ada")
    await world.begins("again", OLD, 9.0, rerun=again)
    assert await world.report() == report


async def test_bad_news_of_an_older_commit_are_followed_by_those_of_a_newer_one(world) -> None:
    await world.ends(await world.begins("one", OLD, 1.0))
    await world.begins("two", NEW, 2.0)
    report = await world.report()
    assert (report.commit, report.is_news) == (NEW, True)
    assert (await world.line()).standing is Standing.RUNNING


async def test_of_two_attempts_at_a_commit_the_newer_one_counts(world: World) -> None:
    old = await world.begins("one", OLD, 1.0)
    again = Rerun(of=old, origin=old, attempt=2, by="ada")
    newer = await world.begins("again", OLD, 2.0, rerun=again)
    await world.ends(old)
    line = await world.line()
    assert (line.run, line.standing) == (newer, Standing.RUNNING)


async def test_turns_told_again_after_a_death_change_nothing(world: World) -> None:
    run = await world.begins("one", OLD, 1.0)
    await world.ends(run)
    before = world.book.reports.copy()
    await world.tell(run, turn(1))
    await world.ends(run)
    assert world.book.reports == before


async def test_who_is_overtaken_looks_again_and_no_line_is_lost(world, monkeypatch) -> None:
    write, others = world.book.write, ["other"]

    async def overtaken(report, *, after: int) -> None:
        if others:
            await world.begins(others.pop(), OLD, 1.0, pipeline="docs")
            raise Conflict("somebody was faster")
        await write(report, after=after)

    monkeypatch.setattr(world.book, "write", overtaken)
    await world.begins("one", OLD, 1.0)
    assert set((await world.report()).lines) == {CONTEXT, "staunch/docs (pull request)"}


async def test_a_store_that_takes_no_report_holds_up_no_status(world, monkeypatch) -> None:
    monkeypatch.setattr(statuses, "OUTBOX_RETRY_S", 0.0)

    async def broken(report, *, after: int) -> None:
        raise Unavailable("no server leads that stream")

    monkeypatch.setattr(world.book, "write", broken)
    run = await world.begins("one", OLD, 1.0)
    await world.ends(run)
    assert {one.state for one in world.outbox.kept} == {"pending", "failure"}


async def test_where_no_comments_are_written_nothing_is_kept(world: World) -> None:
    await world.begins("one", OLD, 1.0, repo_name="off")
    assert world.book.reports == {}
