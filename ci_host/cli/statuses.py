"""`staunch statuses`: what no forge took of what runs came to, why, and once more."""

import json
from typing import Annotated, Any

import typer

from ci_host.cli.client import find
from ci_host.cli.clock import moment
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.plain import plain


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(statuses)


def statuses(
    again: Annotated[
        bool, typer.Option("--again", help="Tell them once more, as when a token was changed.")
    ] = False,
    connection: Annotated[str, typer.Option(help="Only those of this connection.")] = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List statuses that no forge took, with the reason, or tell them once more."""
    client = find(server, token, data)
    if again:
        done = client.post("/statuses/untold/again", {"connection": connection})
        said = f"{done['again']} wait for their forge now; `staunch statuses` lists what it refuses"
        typer.echo(json.dumps(done) if as_json else said)
        return
    found = [
        one
        for one in client.all("/statuses/untold", "statuses")
        if connection in ("", one["connection"])
    ]
    if as_json:
        typer.echo(json.dumps({"statuses": found}))
        return
    for one in found:
        typer.echo(_lines(one))
    if not found:
        typer.echo("every forge took what it was told")


def _lines(one: dict[str, Any]) -> str:
    later = "; told again by itself" if one["may_pass"] else ""
    return plain(
        f"{one['repo']} {one['commit'][:10]} {one['context']}: {one['state']}\n"
        f"  since {moment(one['since'])}: {one['reason']}{later}\n  {one['url']}"
    )
