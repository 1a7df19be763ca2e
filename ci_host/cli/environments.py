"""`staunch environment …`: which refs' runs may name an environment."""

import json
from typing import Annotated, Any

import typer

from ci_host.cli.client import find
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption

RepoOption = Annotated[str, typer.Option("--repo", help="Of this repository.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Which refs an environment is for.", no_args_is_help=True)
    group.command("set")(set_rule)
    group.command("list")(list_rules)
    group.command("remove")(remove_rule)
    app.add_typer(group, name="environment")


def set_rule(
    environment: str,
    repo: RepoOption,
    refs: Annotated[
        list[str], typer.Option("--refs", help="A branch or full ref; * matches all: refs/tags/v*.")
    ],
    by_hand: Annotated[
        bool, typer.Option("--by-hand", help="Also for runs whose commit a person chose.")
    ] = False,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Have only runs of these refs name an environment."""
    body = {"repo": repo, "environment": environment, "refs": refs, "by_hand": by_hand}
    typer.echo(_said(find(server, token, data).put("/environments", body)))


def list_rules(
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the environments that are only for some refs."""
    found = find(server, token, data).get("/environments")["environments"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in sorted(found, key=lambda one: (str(one["repo"]), str(one["environment"]))):
        typer.echo(_said(one))
    if not found:
        typer.echo("Every run may name every environment of its repository.")


def remove_rule(
    environment: str,
    repo: RepoOption,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Have every run of a repository name an environment."""
    client = find(server, token, data)
    typer.echo(_said(client.delete("/environments", repo=repo, environment=environment)))


def _said(one: dict[str, Any]) -> str:
    named = f"environment {one['environment']} of {one['repo']}"
    if one["refs"] is None:
        return f"{named} may be named by every run"
    by_hand = ", and by hand" if one["by_hand"] else ""
    return f"{named} is only for {', '.join(one['refs'])}{by_hand}"
