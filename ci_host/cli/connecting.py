"""`staunch connect`: a repository of a forge, from its address to its first webhook call."""

import json
from typing import Annotated

import typer

from ci_host.cli.client import find
from ci_host.cli.options import (
    DataOption,
    JsonOption,
    OAuthIdOption,
    OAuthSecretOption,
    ServerOption,
    TokenOption,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(connect)


def connect(
    forge: Annotated[
        str, typer.Argument(help="github, gitlab, gitea (Forgejo too), bitbucket, bitbucket-dc.")
    ],
    url: Annotated[str, typer.Argument(help="The repository's address in a browser.")],
    forge_token: Annotated[
        str,
        typer.Option(
            envvar="STAUNCH_FORGE_TOKEN",
            help="The forge's token: reads the repository, adds webhooks, writes statuses.",
        ),
    ] = "",
    connection: Annotated[
        str, typer.Option(help="What the forge is called here. Default: its kind.")
    ] = "",
    api_url: Annotated[str, typer.Option(help="Its API, where that is at no usual place.")] = "",
    oauth_client_id: OAuthIdOption = "",
    oauth_client_secret: OAuthSecretOption = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a repository, make its webhook at the forge, try it, and say what is missing."""
    body = {
        "kind": forge,
        "url": url,
        "token": forge_token,
        "connection": connection,
        "api_url": api_url,
        "oauth_client_id": oauth_client_id,
        "oauth_client_secret": oauth_client_secret,
    }
    done = find(server, token, data).post("/connect", body)
    if as_json:
        typer.echo(json.dumps(done))
        return
    typer.echo(f"{done['repo']} ({done['external_id']}) is registered with {done['connection']}")
    typer.echo(f"its webhook was {done['hook']}: {done['webhook']}")
    typer.echo(done["tested"])
    for one in done["missing"]:
        typer.echo(f"missing: {one}")
    if not done["missing"]:
        typer.echo("push a commit with a .staunch.py, and `staunch runs` shows its run")
