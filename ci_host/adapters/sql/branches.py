"""Branches in the read model: the Runs of one branch, and which branches there are.

Runs that other Runs called, that were imported or forked to look at something, are no news of a
branch and not among them. Read-only, blocking.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Subquery, and_, or_
from sqlmodel import Session, col, desc, func, select
from sqlmodel.sql.expression import SelectOfScalar

from ci_host.adapters.sql.read_model import ReadModel
from ci_host.adapters.sql.reading import moment, rows
from ci_host.adapters.sql.tables import RunRow

HEADS = "refs/heads/"
BRANCHES_MAX = 100
RUNS_MAX = 200
# So many of a branch's newest Runs say which pipelines it has.
LOOKED_AT = 500


def branches(model: ReadModel, repo: str, limit: int = BRANCHES_MAX) -> list[RunRow]:
    """The newest Run of each branch, the newest first."""
    at = func.max(col(RunRow.created_at))
    newest = (
        select(RunRow.ref, at.label("at"))
        .where(_roots(repo), col(RunRow.ref).startswith(HEADS))
        .group_by(RunRow.ref)
        .order_by(desc(at))
        .limit(min(limit, BRANCHES_MAX))
        .subquery()
    )
    query = (
        select(RunRow)
        .join(newest, _is_same(newest))
        .where(_roots(repo))
        .order_by(desc(RunRow.created_at), RunRow.ref)
    )
    with moment(model) as connection:
        # Of two that began at the same moment one is enough.
        return list({row.ref: row for row in rows(connection, query)}.values())


def runs_of_branch(
    model: ReadModel, repo: str, ref: str, pipeline: str = "", limit: int = RUNS_MAX
) -> Sequence[RunRow]:
    """Newest first; of one pipeline, or of all."""
    query = _of_branch(repo, ref).limit(min(limit, RUNS_MAX))
    if pipeline:
        query = query.where(RunRow.pipeline == pipeline)
    with moment(model) as connection:
        return rows(connection, query)


def pipelines_of_branch(model: ReadModel, repo: str, ref: str) -> list[str]:
    """Their names, of those that ran lately."""
    looked_at = _of_branch(repo, ref).limit(LOOKED_AT).subquery()
    with Session(model.engine) as session:
        return sorted(session.exec(select(looked_at.c.pipeline).distinct()))


def _roots(repo: str) -> ColumnElement[bool]:
    # In the order of the index `runs_by_branch`.
    is_own = col(RunRow.is_imported).is_(False)
    return and_(col(RunRow.repo) == repo, is_own, col(RunRow.parent) == "")


def _is_same(newest: Subquery) -> ColumnElement[bool]:
    return and_(col(RunRow.ref) == newest.c.ref, col(RunRow.created_at) == newest.c.at)


def _of_branch(repo: str, ref: str) -> SelectOfScalar[RunRow]:
    is_no_fork = or_(
        col(RunRow.fork_of) == "", col(RunRow.continues) != "", col(RunRow.rerun_of) != ""
    )
    return (
        select(RunRow)
        .where(_roots(repo), col(RunRow.ref) == ref)
        .where(col(RunRow.pull_request).is_(None), is_no_fork)
        .order_by(desc(RunRow.created_at))
    )
