"""`staunch pool …`: whose jobs a pool of runners takes."""

import json
from typing import Annotated, Any

import typer

from ci_host.cli.client import find
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from pipelines.trust import Tier

TierOption = Annotated[
    Tier | None,
    typer.Option("--tier", help="Of whose changes: of trusted ones, or of all others."),
]
LabelOption = Annotated[
    list[str] | None, typer.Option("--label", help="What its runners are or have; repeatable.")
]
UntrustedToOption = Annotated[
    str, typer.Option("--untrusted-to", help="The pool to which a trusted one sends the others.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Whose jobs a pool of runners takes.", no_args_is_help=True)
    group.command("set")(set_rule)
    group.command("list")(list_rules)
    group.command("remove")(remove_rule)
    app.add_typer(group, name="pool")


def set_rule(
    pool: str,
    tier: TierOption = None,
    untrusted_to: UntrustedToOption = "",
    label: LabelOption = None,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Have a pool take jobs of trusted changes only, or only those of others; give it labels.

    What is not named stays as it is: `staunch pool remove` takes all of it away.
    """
    client = find(server, token, data)
    there = {one["pool"]: one for one in client.get("/pools")["pools"]}.get(pool, {})
    body = {
        "tier": there.get("tier") if tier is None else tier.value,
        "untrusted_to": untrusted_to or ("" if tier else there.get("untrusted_to", "")),
        "labels": there.get("labels", []) if label is None else label,
    }
    typer.echo(_said(client.put(f"/pools/{pool}", body)))


def list_rules(
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the pools that take only some jobs, or have labels."""
    found = find(server, token, data).get("/pools")["pools"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in sorted(found, key=lambda one: str(one["pool"])):
        typer.echo(_said(one))
    if not found:
        typer.echo("Every pool takes everybody's jobs.")


def remove_rule(
    pool: str, data: DataOption = None, server: ServerOption = None, token: TokenOption = None
) -> None:
    """Have a pool take everybody's jobs."""
    typer.echo(_said(find(server, token, data).delete(f"/pools/{pool}")))


def _said(one: dict[str, Any]) -> str:
    labels = f"; it has the labels {', '.join(one['labels'])}" if one["labels"] else ""
    return _takes(one) + labels


def _takes(one: dict[str, Any]) -> str:
    if one["tier"] is None:
        return f"pool {one['pool']} takes everybody's jobs"
    if one["tier"] == Tier.UNTRUSTED:
        return f"pool {one['pool']} takes only jobs of changes that are not trusted"
    others = f"others run in pool {one['untrusted_to']}" if one["untrusted_to"] else ""
    return (
        f"pool {one['pool']} takes only jobs of trusted changes; {others or 'others are refused'}"
    )
