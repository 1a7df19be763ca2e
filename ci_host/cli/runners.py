"""`staunch runner …`: runners of other machines are invited, listed, drained and revoked."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from ci_host.cli.client import find
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.paper import paper

PoolOption = Annotated[str, typer.Option("--pool", help="Whose jobs it will take.")]
NameOption = Annotated[str, typer.Option("--name", help="The beginning of its name.")]
SingleOption = Annotated[
    bool | None,
    typer.Option(
        "--single/--lasting",
        help="It takes one job and ends, as on a fresh machine. Default: so for an untrusted pool.",
    ),
]
MinutesOption = Annotated[
    float, typer.Option("--minutes", min=0.1, max=1440, help="For how long the word is good.")
]

console = paper()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Runners of other machines.", no_args_is_help=True)
    group.command("add")(add_runner)
    group.command("list")(list_runners)
    group.command("drain")(drain_runner)
    group.command("resume")(resume_runner)
    group.command("revoke")(revoke_runner)
    app.add_typer(group, name="runner")


def add_runner(
    pool: PoolOption = "default",
    name: NameOption = "",
    single: SingleOption = None,
    minutes: MinutesOption = 10.0,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Invite a runner; prints the command for its machine, which works once."""
    body = {"pool": pool, "name": name, "single": single, "minutes": minutes}
    made = find(server, token, data).post("/runners/invitations", body)
    if as_json:
        typer.echo(json.dumps(made))
        return
    until = f"for {minutes:g} minutes, and once{'; it takes one job' if made['single'] else ''}"
    paper(stderr=True).print(f"[dim]Runner {made['runner']}: on its machine, {until}:[/]")
    typer.echo(f"staunch-runner agent --data /var/lib/staunch/runner --join {made['join']}")


def list_runners(
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List registered runners, the newest first."""
    found = find(server, token, data).all("/runners/registered", "runners", "before")
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("runner", "pool", "state", "alive", "since", "invited by", box=None)
    for one in found:
        since = datetime.fromtimestamp(one["joined_at"] or one["invited_at"], UTC)
        alive = "yes" if one["heard_at"] else "no"
        when = f"{since:%Y-%m-%d %H:%M}"
        table.add_row(one["runner"], one["pool"], one["state"], alive, when, one["invited_by"])
    console.print(table)


def drain_runner(
    runner: str, data: DataOption = None, server: ServerOption = None, token: TokenOption = None
) -> None:
    """Have it take no further job; those that it has go on."""
    _act(runner, "drain", data, server, token)
    typer.echo(f"{runner} takes no further job")


def resume_runner(
    runner: str, data: DataOption = None, server: ServerOption = None, token: TokenOption = None
) -> None:
    """Have a drained one take jobs again."""
    _act(runner, "resume", data, server, token)
    typer.echo(f"{runner} takes jobs again")


def revoke_runner(
    runner: str, data: DataOption = None, server: ServerOption = None, token: TokenOption = None
) -> None:
    """End its connections and let it in no more."""
    _act(runner, "revoke", data, server, token)
    typer.echo(f"{runner} is revoked")


def _act(runner: str, act: str, data: Any, server: Any, token: Any) -> None:  # noqa: ANN401  options
    find(server, token, data).post(f"/runners/{runner}/{act}", {})
