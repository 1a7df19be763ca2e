"""Queries: what pages, lists and the command line ask of the read model. Read-only, blocking."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType

from sqlalchemy import ColumnElement, bindparam
from sqlalchemy.orm import defer
from sqlmodel import Session, col, desc, func, select
from sqlmodel.sql.expression import SelectOfScalar

from ci_host.adapters.sql.coverage import Earlier, earlier
from ci_host.adapters.sql.read_model import ReadModel
from ci_host.adapters.sql.reading import moment, rows
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
# Statements of lists that are kept: one for each choice of filters.
LISTINGS_MAX = 500

# What means more than itself in the beginning of a commit that is looked for.
_SPECIAL = re.compile(r"[/%_]")


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


# The filters of lists, each with the column's own word for what is wanted.
_WANTED: Mapping[str, ColumnElement[bool]] = MappingProxyType(
    {
        "repo": (col(RunRow.repo) == bindparam("repo"))
        | (col(RunRow.repo_name) == bindparam("repo")),
        "commit": col(RunRow.commit).startswith(bindparam("commit"), escape="/"),
        "since": col(RunRow.created_at) >= bindparam("since"),
        "until": col(RunRow.created_at) < bindparam("until"),
        "before": col(RunRow.created_at) < bindparam("before"),
        "repos": col(RunRow.repo).in_(bindparam("repos", expanding=True)),
        **{
            name: getattr(RunRow, name) == bindparam(name)
            for name in ("state", "ref", "sender", "event")
        },
    }
)


@lru_cache(maxsize=LISTINGS_MAX)
def _listing(filters: frozenset[str]) -> SelectOfScalar[RunRow]:
    newest = select(RunRow).order_by(desc(RunRow.created_at)).limit(bindparam("limit"))
    return newest.where(*(_WANTED[name] for name in sorted(filters)))


def list_runs(model: ReadModel, wish: RunFilter) -> Sequence[RunRow]:
    """Newest first."""
    given = {name: value for name in _WANTED if (value := getattr(wish, name)) not in ("", None)}
    asked = _listing(frozenset(given))
    if wish.commit:
        given["commit"] = _SPECIAL.sub(r"/\g<0>", wish.commit)
    with moment(model) as connection:
        return rows(connection, asked, **given, limit=min(wish.limit, PAGE_MAX))


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


_RUN = select(RunRow).where(RunRow.id == bindparam("run"))
_STEPS = select(StepRow).where(StepRow.run == bindparam("run")).order_by(col(StepRow.position))
_ATTEMPTS = (
    select(AttemptRow).where(AttemptRow.run == bindparam("run")).order_by(col(AttemptRow.queued_at))
)
_TURNS = (
    select(TurnRow)
    .where(TurnRow.run == bindparam("run"))
    .order_by(col(TurnRow.number))
    .options(defer(TurnRow.parts_json))  # type: ignore[arg-type]
)
_INPUTS = select(InputRow).where(InputRow.run == bindparam("run")).order_by(col(InputRow.sequence))
_RESTARTS = (
    select(ProcessStartRow)
    .where(ProcessStartRow.at > bindparam("begun"), ProcessStartRow.at < bindparam("over"))
    .order_by(col(ProcessStartRow.at))
)
_RERUNS = (
    select(RunRow)
    .where(RunRow.origin == bindparam("origin"), RunRow.id != bindparam("run"))
    .order_by(col(RunRow.attempt))
)
_FORKS = (
    select(RunRow)
    .where(RunRow.fork_of == bindparam("run"), RunRow.continues == "", RunRow.rerun_of == "")
    .order_by(col(RunRow.created_at))
    .limit(PAGE_MAX)
)
_BROKEN_TESTS = (
    select(ReportedTestRow)
    .where(ReportedTestRow.run == bindparam("run"))
    .where(col(ReportedTestRow.outcome).in_(("failed", "error")))
    .order_by(col(ReportedTestRow.job), col(ReportedTestRow.position))
    .limit(BROKEN_TESTS_MAX)
)


def run_detail(model: ReadModel, run: str) -> RunDetail | None:
    """One Run with all that belongs to it, or None."""
    with moment(model) as here:
        found = rows(here, _RUN, run=run)
        if not found:
            return None
        row = found[0]
        over = row.finished_at or float("inf")
        attempts = rows(here, _ATTEMPTS, run=run)
        return RunDetail(
            run=row,
            steps=rows(here, _STEPS, run=run),
            attempts=attempts,
            earlier=earlier(here, row, attempts),
            turns=rows(here, _TURNS, run=run),
            inputs=rows(here, _INPUTS, run=run),
            restarts=rows(here, _RESTARTS, begun=row.created_at, over=over),
            reruns=rows(here, _RERUNS, origin=row.origin, run=run),
            forks=rows(here, _FORKS, run=run),
            # Only jobs report tests.
            broken_tests=rows(here, _BROKEN_TESTS, run=run) if attempts else (),
        )


_STATES = select(AttemptRow.job, AttemptRow.state).where(AttemptRow.run == bindparam("run"))
_NEWEST_INPUT = select(func.max(InputRow.sequence)).where(InputRow.run == bindparam("run"))
_ALL_STARTS = select(func.count()).select_from(ProcessStartRow)


def run_mark(model: ReadModel, run: str) -> str:
    """A text that differs whenever something on the Run's page does; empty: no such Run."""
    with moment(model) as here:
        found = rows(here, _RUN, run=run)
        if not found:
            return ""
        states = sorted(f"{job}{state}" for job, state in here.execute(_STATES, {"run": run}))
        newest = here.execute(_NEWEST_INPUT, {"run": run}).scalar()
        parts = [found[0].turns, found[0].state, newest, here.execute(_ALL_STARTS).scalar()]
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
    with moment(model) as here:
        return rows(here, query.limit(min(wish.limit, PAGE_MAX)))


def find_deliveries(model: ReadModel, name: str, connection: str) -> Sequence[DeliveryRow]:
    """Those of this id; if there are none, those that begin so, some of them."""
    query = select(DeliveryRow)
    if connection:
        query = query.where(DeliveryRow.connection == connection)
    with moment(model) as here:
        exact = rows(here, query.where(DeliveryRow.id == name))
        begins = col(DeliveryRow.id).startswith(name, autoescape=True)
        return exact or rows(here, query.where(begins).limit(10))


def attempt(model: ReadModel, job: str) -> AttemptRow | None:
    """One Attempt by its job id, or None."""
    with Session(model.engine) as session:
        return session.get(AttemptRow, job)
