"""Commands of people's keys, and those of machines: `token add|list|revoke`."""

import json
import time
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ci_host.cli.client import ClientError, find
from ci_host.cli.clock import moment
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption

SCOPES = ("read", "act", "admin")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    token = typer.Typer(help="Keys of people and machines.", no_args_is_help=True)
    token.command("add")(add_token)
    token.command("list")(list_tokens)
    token.command("revoke")(revoke_token)
    app.add_typer(token, name="token")


def add_token(
    person: str,
    team: Annotated[list[str] | None, typer.Option(help="A team of theirs; repeat it.")] = None,
    admin: Annotated[bool, typer.Option(help="May change settings: --scope admin.")] = False,
    scope: Annotated[str, typer.Option(help="read, act or admin.")] = "act",
    repo: Annotated[
        list[str] | None, typer.Option(help="Good for this repository alone; repeat it.")
    ] = None,
    days: Annotated[float | None, typer.Option(help="Good for so long.")] = None,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Make a key for a person or a machine; it is shown this once."""
    if scope not in SCOPES:
        raise ClientError(f"--scope {scope!r}: it is one of {', '.join(SCOPES)}", 2)
    body: dict[str, Any] = {"name": person, "teams": team or [], "admin": admin, "scope": scope}
    body |= {"repos": repo or [], "days": days}
    typer.echo(find(server, token, data).post("/tokens", body)["secret"])


def list_tokens(
    all_: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the keys: whose, for what, and until when."""
    found = find(server, token, data).all("/tokens", "tokens")
    if as_json:
        typer.echo(json.dumps({"tokens": found}))
        return
    for one in found:
        over = _over(one)
        if all_ or not over:
            where = ", ".join(one["repos"]) or "everywhere"
            cells = (one["id"], one["name"], one["scope"], where, over or _until(one))
            typer.echo("\t".join(cells))


def _over(token: dict[str, Any]) -> str:
    if token["revoked"]:
        return "revoked"
    return "expired" if token["expires_at"] and token["expires_at"] <= time.time() else ""


def _until(token: dict[str, Any]) -> str:
    if not token["expires_at"]:
        return "until revoked"
    return f"until {moment(token['expires_at'])}"


def revoke_token(
    which: Annotated[str, typer.Argument(help="Its id, or whose it is.")],
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Make a key worthless, at once and for ever."""
    gone = find(server, token, data).post(f"/tokens/{quote(which, safe='')}/revoke", {})
    also = f", and with it {', '.join(gone['with'])}" if gone["with"] else ""
    typer.echo(f"token {gone['id']} of {gone['name']} is revoked{also}")
