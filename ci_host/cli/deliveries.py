"""`staunch deliveries` and `staunch delivery …`: what came in, what became of it, and once more."""

import json
import time
from typing import Annotated, Any

import typer
from rich.table import Table

from ci_host.cli.client import find
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.paper import paper
from ci_host.cli.plain import escape
from ci_host.cli.waits import duration

console = paper()

ConnectionOption = Annotated[
    str, typer.Option(help="Of this connection, where two have a delivery of one name.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(deliveries)
    group = typer.Typer(help="One webhook delivery.", no_args_is_help=True)
    group.command("show")(show_delivery)
    group.command("replay")(replay_delivery)
    app.add_typer(group, name="delivery")


def deliveries(
    limit: int = 20,
    state: Annotated[
        str, typer.Option(help="Only received, started, ignored, held or failed ones.")
    ] = "",
    connection: Annotated[str, typer.Option(help="Only those of this connection.")] = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List webhook deliveries and what became of each."""
    wish = {"limit": limit, "state": state, "connection": connection}
    found = find(server, token, data).get("/deliveries", **wish)
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("delivery", "connection", "event", "state", "runs or reason", "age")
    for one in found["deliveries"]:
        table.add_row(
            escape(one["id"]),
            one["connection"],
            escape(one["event"]),
            one["state"],
            escape(", ".join(one["runs"]) or one["reason"]),
            duration(time.time() - one["received_at"]),
        )
    console.print(table)


def show_delivery(
    delivery: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
    connection: ConnectionOption = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one delivery: what became of it, and the payload as it came."""
    one = find(server, token, data).get("/delivery", id=delivery, connection=connection)
    if as_json:
        typer.echo(json.dumps(one))
        return
    console.print(_heading(one), highlight=False)
    console.print(_readable(one["body"]), markup=False, highlight=False)


def replay_delivery(
    delivery: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
    connection: ConnectionOption = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a delivery taken once more, as if it came now."""
    body = {"id": delivery, "connection": connection}
    done = find(server, token, data).post("/delivery/replay", body)
    if as_json:
        typer.echo(json.dumps(done))
        return
    said = ", ".join(done["runs"]) or done["reason"]
    console.print(escape(f"{done['of']} as {done['id']}: {done['state']}: {said}"), highlight=False)


def _heading(one: dict[str, Any]) -> str:
    said = ", ".join(one["runs"]) or one["reason"]
    age = duration(time.time() - one["received_at"])
    return (
        f"[bold]{escape(one['id'])}[/] {escape(one['event'])} of {one['connection']}"
        f" ({one['kind']}), {age} ago\n{one['state']}: {escape(said)}"
    )


def _readable(body: str) -> str:
    """JSON with indents, and nothing that a terminal would obey."""
    try:
        return json.dumps(json.loads(body), indent=2)
    except (ValueError, RecursionError):
        # It was cut to be shown.
        return json.dumps(body)
