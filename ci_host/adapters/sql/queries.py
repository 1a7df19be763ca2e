"""Queries: what pages, lists and the command line ask of the read model. Read-only, blocking."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import defer
from sqlmodel import Session, col, desc, func, select

from ci_host.adapters.sql.coverage import Earlier, earlier
from ci_host.adapters.sql.read_model import ReadModel
from ci_host.adapters.sql.tables import (
    AttemptRow,
    DeliveryRow,
    InputRow,
    ProcessStartRow,
    ReportedTestRow,
    RunRow,
    StepRow,
    TurnRow,
)

PAGE_MAX = 200
BROKEN_TESTS_MAX = 100


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which Runs to list. Empty fields do not filter; `before` pages backwards by creation time.
    `since`, `until`: those begun from then on, and before then. `repos`: only of those, by id."""

    repo: str = ""
    state: str = ""
    ref: str = ""
    commit: str = ""
    sender: str = ""
    event: str = ""
    since: float | None = None
    until: float | None = None
    before: float | None = None
    limit: int = 50
    repos: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class RunDetail:
    """Everything that a Run's page shows. `reruns`: the other attempts of the same, in order;
    `forks`: what was made from it; `broken_tests`: some of those that failed; `earlier`: the
    coverage that the branch had before, by job."""

    run: RunRow
    steps: Sequence[StepRow]
    attempts: Sequence[AttemptRow]
    turns: Sequence[TurnRow]
    inputs: Sequence[InputRow]
    restarts: Sequence[ProcessStartRow]
    reruns: Sequence[RunRow] = ()
    forks: Sequence[RunRow] = ()
    broken_tests: Sequence[ReportedTestRow] = ()
    earlier: Mapping[str, Earlier] = field(default_factory=dict)


def list_runs(model: ReadModel, wish: RunFilter) -> Sequence[RunRow]:
    """Newest first."""
    query = select(RunRow).order_by(desc(RunRow.created_at)).limit(min(wish.limit, PAGE_MAX))
    if wish.repo:
        query = query.where((RunRow.repo == wish.repo) | (RunRow.repo_name == wish.repo))
    for column in ("state", "ref", "sender", "event"):
        if wanted := getattr(wish, column):
            query = query.where(getattr(RunRow, column) == wanted)
    if wish.commit:
        query = query.where(col(RunRow.commit).startswith(wish.commit, autoescape=True))
    for end in (wish.before, wish.until):
        if end is not None:
            query = query.where(RunRow.created_at < end)
    if wish.since is not None:
        query = query.where(RunRow.created_at >= wish.since)
    if wish.repos is not None:
        query = query.where(col(RunRow.repo).in_(wish.repos))
    with Session(model.engine) as session:
        return session.exec(query).all()


def find_runs(model: ReadModel, prefix: str, repos: Collection[str] | None = None) -> Sequence[str]:
    """Ids that begin with a prefix, or whose part behind the dash does; at most a few. `repos`:
    only Runs of those."""
    both = col(RunRow.id).startswith(prefix) | col(RunRow.id).contains(f"-{prefix}")
    query = select(RunRow.id).where(both)
    if repos is not None:
        query = query.where(col(RunRow.repo).in_(repos))
    with Session(model.engine) as session:
        return session.exec(query.limit(5)).all()


def repo_of_run(model: ReadModel, run: str) -> str | None:
    """The id of the Repo of a Run that is known here."""
    with Session(model.engine) as session:
        return session.exec(select(RunRow.repo).where(RunRow.id == run)).first()


def run_detail(model: ReadModel, run: str) -> RunDetail | None:
    """One Run with all that belongs to it, or None."""
    with Session(model.engine) as session:
        row = session.get(RunRow, run)
        if row is None:
            return None
        until = row.finished_at or float("inf")
        restarts = select(ProcessStartRow).where(
            ProcessStartRow.at > row.created_at, ProcessStartRow.at < until
        )
        attempts = session.exec(
            select(AttemptRow).where(AttemptRow.run == run).order_by(col(AttemptRow.queued_at))
        ).all()
        return RunDetail(
            run=row,
            steps=session.exec(
                select(StepRow).where(StepRow.run == run).order_by(col(StepRow.position))
            ).all(),
            attempts=attempts,
            earlier=earlier(session, row, attempts),
            turns=session.exec(
                select(TurnRow)
                .where(TurnRow.run == run)
                .order_by(col(TurnRow.number))
                .options(defer(TurnRow.parts_json))  # type: ignore[arg-type]
            ).all(),
            inputs=session.exec(
                select(InputRow).where(InputRow.run == run).order_by(col(InputRow.sequence))
            ).all(),
            restarts=session.exec(restarts.order_by(col(ProcessStartRow.at))).all(),
            reruns=session.exec(
                select(RunRow)
                .where(RunRow.origin == row.origin, RunRow.id != run)
                .order_by(col(RunRow.attempt))
            ).all(),
            forks=session.exec(
                select(RunRow)
                .where(RunRow.fork_of == run, RunRow.continues == "", RunRow.rerun_of == "")
                .order_by(col(RunRow.created_at))
                .limit(PAGE_MAX)
            ).all(),
            broken_tests=session.exec(
                select(ReportedTestRow)
                .where(ReportedTestRow.run == run)
                .where(col(ReportedTestRow.outcome).in_(("failed", "error")))
                .order_by(col(ReportedTestRow.job), col(ReportedTestRow.position))
                .limit(BROKEN_TESTS_MAX)
            ).all(),
        )


def run_mark(model: ReadModel, run: str) -> str:
    """A text that differs whenever something on the Run's page does; empty: no such Run."""
    attempts = select(AttemptRow.job, AttemptRow.state).where(AttemptRow.run == run)
    newest = select(func.max(InputRow.sequence)).where(InputRow.run == run)
    starts = select(func.count()).select_from(ProcessStartRow)
    with Session(model.engine) as session:
        row = session.get(RunRow, run)
        if row is None:
            return ""
        states = sorted(f"{job}{state}" for job, state in session.exec(attempts).all())
        parts = [row.turns, row.state, session.exec(newest).one(), session.exec(starts).one()]
        return hashlib.sha256(repr((parts, states)).encode()).hexdigest()[:16]


def repo_names(model: ReadModel, repos: Collection[str] | None = None) -> Sequence[str]:
    """The names of the repositories that have Runs; of those with these ids alone."""
    query = select(RunRow.repo_name).distinct().order_by(RunRow.repo_name).limit(PAGE_MAX)
    if repos is not None:
        query = query.where(col(RunRow.repo).in_(repos))
    with Session(model.engine) as session:
        return session.exec(query).all()


def latest_run(model: ReadModel, repo: str, commit: str, pipeline: str) -> RunRow | None:
    """The newest Run of this pipeline at this commit, or None."""
    query = (
        select(RunRow)
        .where(RunRow.repo == repo, RunRow.commit == commit, RunRow.pipeline == pipeline)
        .where(RunRow.parent == "")
        .order_by(desc(RunRow.created_at))
    )
    with Session(model.engine) as session:
        return session.exec(query.limit(1)).first()


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Which deliveries; an empty word: any. `connections`: only those of these."""

    state: str = ""
    connection: str = ""
    limit: int = 50
    connections: Collection[str] | None = None


def list_deliveries(model: ReadModel, wish: Deliveries) -> Sequence[DeliveryRow]:
    """Newest first."""
    query = select(DeliveryRow).order_by(desc(DeliveryRow.received_at))
    if wish.state:
        query = query.where(DeliveryRow.state == wish.state)
    if wish.connection:
        query = query.where(DeliveryRow.connection == wish.connection)
    if wish.connections is not None:
        query = query.where(col(DeliveryRow.connection).in_(wish.connections))
    with Session(model.engine) as session:
        return session.exec(query.limit(min(wish.limit, PAGE_MAX))).all()


def find_deliveries(model: ReadModel, name: str, connection: str) -> Sequence[DeliveryRow]:
    """Those of this id; if there are none, those that begin so, some of them."""
    query = select(DeliveryRow)
    if connection:
        query = query.where(DeliveryRow.connection == connection)
    with Session(model.engine) as session:
        exact = session.exec(query.where(DeliveryRow.id == name)).all()
        begins = col(DeliveryRow.id).startswith(name, autoescape=True)
        return exact or session.exec(query.where(begins).limit(10)).all()


def attempt(model: ReadModel, job: str) -> AttemptRow | None:
    """One Attempt by its job id, or None."""
    with Session(model.engine) as session:
        return session.get(AttemptRow, job)
