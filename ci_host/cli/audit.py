"""`staunch audit`: what people did that changed something."""

import json
from typing import Annotated

import typer

from ci_host.cli.client import find
from ci_host.cli.clock import moment
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.pasted import pasted
from ci_host.cli.plain import plain


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)


def audit(
    by: Annotated[str, typer.Option(help="Only what this person did.")] = "",
    act: Annotated[str, typer.Option(help="Only routes with this in it: cancel.")] = "",
    about: Annotated[str, typer.Option(help="Only where this was named: acme/shop.")] = "",
    limit: Annotated[int, typer.Option(help="So many, the newest first.")] = 50,
    before: Annotated[int | None, typer.Option(help="Those before the page before.")] = None,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who did what, on which, when, and from where."""
    wanted = {"by": by, "act": act, "about": about, "before": before}
    asked = {name: value for name, value in wanted.items() if value}
    found = find(server, token, data).get("/audit", limit=limit, **asked)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found["acts"]:
        on = " ".join(f"{name}={value}" for name, value in one["on"].items())
        cells = (moment(one["at"]), one["by"], one["act"], on, one["address"])
        typer.echo("\t".join(plain(cell, "") for cell in cells))
    if found["next"] is not None:
        typer.echo(f"older ones: {pasted('audit', '--before', str(found['next']))}")
