"""Checked out: the run that a command means which names none: the newest of the commit that is
checked out here."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ci_host.cli.client import Client, ClientError, run_path

# A push is on its way for a moment before its run begins.
APPEARS_S = 30.0
LOOK_S = 0.5

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Left out: the newest of the commit here.")
]


def path_of(
    client: Client,
    run: str,
    *,
    patience_s: float = 0.0,
    tell: Callable[[str], None] = lambda _words: None,
) -> str:
    """Where the API has the run that is named, or else the newest of the commit here.

    `patience_s`: how long it is waited for. Raises ClientError: there is none.
    """
    if run:
        return run_path(run)
    commit = _commit_here()
    until, told = time.monotonic() + patience_s, False
    while not (found := client.get("/runs", commit=commit, limit=1)["runs"]):
        if time.monotonic() >= until:
            raise ClientError(
                f"commit {commit[:10]}, which is checked out here, has no run: was it pushed, and"
                " does the pipeline run for its branch? `staunch deliveries` says what became of a"
                " push, `staunch runs` lists the runs of others",
                4,
            )
        if not told:
            tell(f"no run of commit {commit[:10]} yet; waiting up to {patience_s:.0f} s")
            told = True
        time.sleep(LOOK_S)
    return run_path(found[0]["id"])


def _commit_here() -> str:
    # Only here: it brings git along.
    from ci_host.cli.working_tree import commit_at, top_of

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
    return commit
