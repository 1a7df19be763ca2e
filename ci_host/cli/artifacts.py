"""`staunch artifacts`: what the jobs of a run kept, and getting it."""

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.filesize import decimal
from rich.table import Table

from ci_host.cli.client import ClientError, find, run_path
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.paper import paper

console = paper()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(artifacts)


def artifacts(
    run: str,
    name: Annotated[str, typer.Argument(help="Get this one, as a tar.")] = "",
    job: Annotated[str, typer.Option(help="Of this job, where several have that name.")] = "",
    to: Annotated[
        Path | None, typer.Option(help="The file to write.", show_default="NAME.tar")
    ] = None,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what the jobs of a run kept, or get one of it."""
    client = find(server, token, data)
    found = client.get(f"{run_path(run)}/artifacts")["artifacts"]
    if name:
        chosen = _choose(found, name, job)
        path = to or Path(f"{name}.tar")
        client.save(
            f"/jobs/{quote(chosen['job'])}/artifacts/{quote(name)}/tar", path, chosen["size"]
        )
        typer.echo(f"{path}: {chosen['files']} files, {decimal(chosen['size'])}")
    elif as_json:
        typer.echo(json.dumps(found))
    else:
        _print(found)


def _choose(found: list[dict[str, Any]], name: str, job: str) -> dict[str, Any]:
    """The newest attempt's. Raises ClientError."""
    fitting = [one for one in found if one["name"] == name and job in ("", one["key"])]
    if not fitting:
        there = ", ".join(f"{one['name']} of {one['key']}" for one in found) or "it kept none"
        raise ClientError(f"the run has no such artifact; there is: {there}", 4)
    if len({one["key"] for one in fitting}) > 1:
        jobs = ", ".join(sorted({one["key"] for one in fitting}))
        raise ClientError(f"several jobs have an artifact {name!r}: choose with --job {jobs}", 2)
    return max(fitting, key=lambda one: int(one["attempt"]))


def _print(found: list[dict[str, Any]]) -> None:
    if not found:
        console.print("no job of this run kept anything")
        return
    table = Table("artifact", "job", "attempt", "files", "size", box=None, pad_edge=False)
    for one in found:
        table.add_row(
            one["name"], one["key"], str(one["attempt"]), str(one["files"]), decimal(one["size"])
        )
    console.print(table)
