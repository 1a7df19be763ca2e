"""Checked out: the runs that a command means which names none: those that what is checked out here
was pushed for.

A commit has more runs than these: those that its runs call, forks, attempts that were made again,
and those of other branches that hold it too. Which are meant is decided by `chosen`, which is pure.
"""

import time
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from ci_host.cli.client import Client, ClientError, run_path

# A push is on its way for a moment before its run begins.
APPEARS_S = 30.0
LOOK_S = 0.5
# Of one commit: as many as one answer has, and so many answers.
RUNS_AT_ONCE, ANSWERS_MAX = 200, 10
BRANCHES = "refs/heads/"

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Left out: those of the commit here.")
]
Run = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checkout:
    """`refs`: those as which the commit was pushed; none: it may be any."""

    commit: str
    refs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """Runs of a commit, newest first; of each pipeline and ref the newest.

    `own`: of what it was pushed as. `aside`: of what is no branch, as a tag or a pull request.
    `others`: of other branches.
    """

    own: list[Run] = field(default_factory=list)
    aside: list[Run] = field(default_factory=list)
    others: list[Run] = field(default_factory=list)

    def meant(self) -> list[Run]:
        """All that are not of other branches."""
        return sorted([*self.own, *self.aside], key=lambda run: -run["created_at"])


def chosen(runs: Iterable[Run], here: Checkout) -> Chosen:
    """Sort the runs of a commit, newest first, by what is checked out."""
    found = Chosen()
    seen: set[tuple[str, ...]] = set()
    for run in runs:
        mark = (run["repo"], run["pipeline"], run["ref"])
        if mark in seen or run["parent"] or run["fork_of"] or run["is_imported"]:
            continue
        seen.add(mark)
        if not here.refs or run["ref"] in here.refs:
            found.own.append(run)
        elif run["ref"].startswith(BRANCHES):
            found.others.append(run)
        else:
            found.aside.append(run)
    return found


def path_of(client: Client, run: str, *, prefer: str = "") -> str:
    """Where the API has the run that is named, or else the newest of what is checked out here.

    `prefer`: a state; the newest that has it goes before the others. Raises ClientError: none.
    """
    if run:
        return run_path(run)
    here = checked_out()
    of_commit = chosen(_runs(client, here.commit), here)
    found = of_commit.meant() or of_commit.others
    if not found:
        raise _none(here)
    return run_path(next((one for one in found if one["state"] == prefer), found[0])["id"])


def runs_of(
    client: Client,
    here: Checkout,
    *,
    known: Container[str] = (),
    patience_s: float = APPEARS_S,
    tell: Callable[[str], None],
) -> list[Run]:
    """All runs of what is checked out. Until there is one it is waited for.

    What other branches had of this commit is not meant: the push is still on its way. That of a
    tag or a pull request may be of an earlier one, too, and is enough only while it goes on, if it
    is `known`, or if nothing else comes. Raises ClientError: nothing came.
    """
    until, told = time.monotonic() + patience_s, False
    while True:
        found = chosen(_runs(client, here.commit), here)
        is_late = time.monotonic() >= until
        of_now = (is_late or r["finished_at"] is None or r["id"] in known for r in found.aside)
        if found.own or any(of_now):
            return found.meant()
        if is_late:
            raise _only_others(here, found.others) if found.others else _none(here)
        if not told:
            tell(f"no run of {_what(here)} yet; waiting up to {patience_s:.0f} s")
            told = True
        time.sleep(LOOK_S)


def _runs(client: Client, commit: str) -> Iterable[Run]:
    before: object = None
    for _ in range(ANSWERS_MAX):
        page = client.get("/runs", commit=commit, limit=RUNS_AT_ONCE, before=before)
        yield from page["runs"]
        before = page["next"]
        if before is None:
            return


def _what(here: Checkout) -> str:
    names = " or ".join(ref.removeprefix(BRANCHES) for ref in here.refs)
    return f"commit {here.commit[:10]}{f' of {names}' if names else ''}"


def _none(here: Checkout) -> ClientError:
    return ClientError(
        f"commit {here.commit[:10]}, which is checked out here, has no run: was it pushed, and"
        " does the pipeline run for its branch? `staunch deliveries` says what became of a"
        " push, `staunch runs` lists the runs of others",
        4,
    )


def _only_others(here: Checkout, others: list[Run]) -> ClientError:
    names = ", ".join(dict.fromkeys(run["ref"].removeprefix(BRANCHES) for run in others))
    return ClientError(
        f"no run of {_what(here)} began; it has runs of {names}: `staunch watch"
        f" {others[0]['id']}` watches the newest. `staunch deliveries` says what became of a push",
        4,
    )


def checked_out() -> Checkout:
    """What is checked out where the command was called. Raises ClientError."""
    # Only here: it brings git along.
    from ci_host.cli.working_tree import commit_at, pushed_as, top_of

    try:
        top = top_of(Path.cwd())
    except ClientError as error:
        raise ClientError(
            "which run? Name one (`staunch runs` lists them), or call this in a checkout of the"
            " commit that it ran for",
            2,
        ) from error
    commit = commit_at(top, "HEAD")
    if not commit:
        raise ClientError(f"{top} has no commit yet: name a run", 4)
    return Checkout(commit, pushed_as(top))
