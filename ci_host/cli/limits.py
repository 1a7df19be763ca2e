"""`staunch queue` and `staunch limits …`: what waits for runners, and what may be at work."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from ci_host.cli.client import ClientError, find
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.paper import paper
from ci_host.cli.plain import escape

PoolOption = Annotated[str, typer.Option("--pool", help="All jobs of this pool.")]
RepoOption = Annotated[str, typer.Option("--repo", help="All jobs of this repository.")]

console = paper()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("queue")(show_queue)
    group = typer.Typer(help="How many jobs may be at work at once.", no_args_is_help=True)
    group.command("set")(set_limit)
    group.command("list")(list_limits)
    group.command("remove")(remove_limit)
    app.add_typer(group, name="limits")


def show_queue(
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what waits in each pool, and what is at its runners."""
    found = find(server, token, data).get("/queue")["pools"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("pool", "waiting", "at runners", "slots", "limit", "takes jobs of", box=None)
    for one in found:
        limit = "" if one["limit"] is None else str(one["limit"])
        counts = [str(one[name]) for name in ("waiting", "at_runners", "slots")]
        takes = {"trusted": "trusted changes", "untrusted": "other changes"}.get(one["tier"], "all")
        table.add_row(escape(one["pool"]), *counts, limit, takes)
    console.print(table if found else "Nothing waits, and no runner is alive.")


def set_limit(
    at_once: Annotated[int, typer.Argument(min=0, help="So many; 0: none is begun.")],
    pool: PoolOption = "",
    repo: RepoOption = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Let no more jobs of a pool, or of a repository, be at work at once."""
    made = find(server, token, data).put("/limits", {**_limited(pool, repo), "at_once": at_once})
    typer.echo(f"{_name(made)}: {made['at_once']} at once")


def list_limits(
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the limits."""
    found = find(server, token, data).get("/limits")["limits"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in sorted(found, key=_name):
        typer.echo(f"{_name(one)}: {one['at_once']} at once")


def remove_limit(
    pool: PoolOption = "",
    repo: RepoOption = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Let as many be at work as there are slots."""
    gone = find(server, token, data).delete("/limits", **_limited(pool, repo))
    typer.echo(f"{_name(gone)}: no limit")


def _limited(pool: str, repo: str) -> dict[str, str]:
    if bool(pool) == bool(repo):
        raise ClientError("say what is limited: --pool NAME, or --repo NAME", 2)
    return {"pool": pool} if pool else {"repo": repo}


def _name(one: dict[str, Any]) -> str:
    return f"pool {one['pool']}" if one["pool"] else f"repo {one['repo']}"
