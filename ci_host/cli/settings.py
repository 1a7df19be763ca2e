"""Commands that change the installation: `repo add|list`."""

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from ci_host.cli.client import ClientError, find
from ci_host.cli.options import (
    DataOption,
    JsonOption,
    OAuthIdOption,
    OAuthSecretOption,
    ServerOption,
    TokenOption,
)
from webhooks.errors import HookRefused
from webhooks.git.hook import install

FORGES_HELP = "git, gitea, github, gitlab, bitbucket (Cloud) or bitbucket-dc (Data Center)."
GITHUB_API = "https://api.github.com"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    repo = typer.Typer(help="Repositories.", no_args_is_help=True)
    repo.command("add")(add_repo)
    repo.command("list")(list_repos)
    app.add_typer(repo, name="repo")


def add_repo(
    where: Annotated[str, typer.Argument(help="A bare repository's path, or a clone URL.")],
    name: Annotated[str, typer.Option(help="owner/name on its forge.")] = "",
    forge: Annotated[str, typer.Option(help=FORGES_HELP)] = "git",
    external_id: Annotated[str, typer.Option("--id", help="The forge's own id of it.")] = "",
    connection: Annotated[str, typer.Option(help="Its connection's id.")] = "",
    api_url: Annotated[str, typer.Option(help="Where statuses are told.")] = "",
    forge_token: Annotated[
        str, typer.Option(envvar="STAUNCH_FORGE_TOKEN", help="For statuses.")
    ] = "",
    app_id: Annotated[str, typer.Option(help="A GitHub App's id, in place of a token.")] = "",
    app_key_file: Annotated[
        Path | None, typer.Option(help="Its private key, as GitHub has it for download.")
    ] = None,
    oauth_client_id: OAuthIdOption = "",
    oauth_client_secret: OAuthSecretOption = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Register a repository; a bare one on this machine gets its push hook installed."""
    client = find(server, token, data)
    local = forge == "git"
    path = Path(where).resolve() if local else None
    if path is not None and not path.is_dir():
        raise ClientError(f"there is no repository at {path}", 2)
    if path is None and not external_id:
        raise ClientError(f"give the id that {forge} has for the repository, with --id", 2)
    chosen = name or (path.name.removesuffix(".git") if path else where.rpartition("/")[2])
    identity = connection or _slug(f"{forge}-{chosen}" if local else forge)
    proof = {"token": forge_token, "app": app_id, "app_key": _key_in(app_key_file)}
    proof |= {"oauth_client_id": oauth_client_id, "oauth_client_secret": oauth_client_secret}
    url = api_url or (GITHUB_API if app_id else None)
    made = client.put("/connections", {"id": identity, "kind": forge, "api_url": url, **proof})
    repo = client.put(
        "/repos",
        {
            "connection": identity,
            "external_id": str(path) if path else external_id,
            "name": chosen,
            "clone_url": str(path) if path else where,
        },
    )
    if path is not None:
        _hook(path, made, chosen)
        return
    whose = "the App's settings, give the webhook" if made["app"] else f"{forge}, add a webhook of"
    typer.echo(f"{chosen} is registered. In {whose} content type JSON:")
    typer.echo(f"  URL     {repo['webhook']}\n  secret  {repo['secret']}")


def _hook(path: Path, made: dict[str, str], name: str) -> None:
    try:
        hook = install(path, made["webhook"], made["secret"], name=name)
    except HookRefused as error:
        raise ClientError(str(error), 1) from error
    typer.echo(f"{name} is registered; its pushes come through {hook}")


def _key_in(file: Path | None) -> str:
    try:
        return file.read_text("ascii") if file is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"--app-key-file {file} cannot be read: {error}", 2) from error


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64]


def list_repos(
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the registered repositories."""
    found = find(server, token, data).all("/repos", "repos")
    if as_json:
        typer.echo(json.dumps({"repos": found}))
        return
    for repo in found:
        typer.echo(f"{repo['name']}\t{repo['clone_url']}\t{repo['webhook']}")
        if why_not := repo["not_compared"]:
            what = "" if why_not["pulls"] else "its refs are not compared: "
            typer.echo(f"  {what}{why_not['reason']}")
