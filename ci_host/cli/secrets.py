"""`staunch secret …`: names and scopes on the command line, a value only by standard input."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from ci_host.cli import sealed_secrets
from ci_host.cli.client import Client, ClientError, find
from ci_host.cli.entering import value_given
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.paper import paper
from pipelines.event import EventKind

RepoScope = Annotated[str, typer.Option("--repo", help="For jobs of this repository.")]
OrgScope = Annotated[str, typer.Option("--org", help="For jobs of all of this owner's.")]
EnvironmentScope = Annotated[
    str, typer.Option("--environment", help="Only for jobs that work on this.")
]
PoolScope = Annotated[str, typer.Option("--pool", help="Only on this pool of runners.")]
EventScope = Annotated[
    EventKind | None, typer.Option("--event", help="Only in runs that such an event began.")
]

console = paper()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Values that only jobs see.", no_args_is_help=True)
    group.command("set")(set_secret)
    group.command("rotate")(rotate_secret)
    group.command("list")(list_secrets)
    group.command("remove")(remove_secret)
    group.command("rotate-key")(rotate_key)
    sealed_secrets.register(group)
    app.add_typer(group, name="secret")


def set_secret(
    name: str,
    repo: RepoScope = "",
    org: OrgScope = "",
    environment: EnvironmentScope = "",
    pool: PoolScope = "",
    event: EventScope = None,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Keep a value, which is read from standard input or asked for."""
    named = _named(name, repo, org, environment, pool, event)
    made = _put(find(server, token, data), named)
    typer.echo(f"{name} is set, version {made['version']}")


def rotate_secret(
    name: str,
    repo: RepoScope = "",
    org: OrgScope = "",
    environment: EnvironmentScope = "",
    pool: PoolScope = "",
    event: EventScope = None,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Give another value to a secret that there is."""
    named = _named(name, repo, org, environment, pool, event)
    made = _put(find(server, token, data), {**named, "rotate": True})
    typer.echo(f"{name} has another value, version {made['version']}")


def list_secrets(
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List secrets and for whom they are; values are never shown."""
    found = find(server, token, data).all("/secrets", "secrets")
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("name", "for", "only", "version", "by", box=None)
    for one in found:
        only = [f"{field} {one[field]}" for field in ("environment", "pool", "event") if one[field]]
        table.add_row(
            one["name"], one["repo"] or one["org"], ", ".join(only), str(one["version"]), one["by"]
        )
    console.print(table)


def remove_secret(
    name: str,
    repo: RepoScope = "",
    org: OrgScope = "",
    environment: EnvironmentScope = "",
    pool: PoolScope = "",
    event: EventScope = None,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Give it to no job any more."""
    named = _named(name, repo, org, environment, pool, event)
    find(server, token, data).delete("/secrets", **named)
    typer.echo(f"{name} is removed")


def rotate_key(
    data: DataOption = None, server: ServerOption = None, token: TokenOption = None
) -> None:
    """Keep all secrets under a new key, and forget the old one."""
    count = find(server, token, data).post("/secrets/rotate-key", {})["secrets"]
    typer.echo(f"{count} secrets are kept under a new key")


def _named(
    name: str, repo: str, org: str, environment: str, pool: str, event: EventKind | None
) -> dict[str, Any]:
    if not (repo or org):
        raise ClientError("say for whom the secret is: --repo NAME, or --org OWNER", 2)
    scope = {"repo": repo, "org": org, "environment": environment, "pool": pool, "event": event}
    return {"name": name, **{field: value for field, value in scope.items() if value}}


def _put(client: Client, named: dict[str, Any]) -> Any:  # noqa: ANN401  the API's JSON
    return client.put("/secrets", {**named, "value": value_given(named["name"])})
