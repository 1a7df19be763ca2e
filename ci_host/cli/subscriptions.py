"""Commands of events: `subscription …`, whose webhooks are called; `events`, what happened."""

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ci_host.cli.client import Client, ClientError, find
from ci_host.cli.clock import moment
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.streams import followed

PAGE = 500


def register(app: typer.Typer) -> None:
    """Add the commands."""
    made = typer.Typer(help="Webhooks that are called with events.", no_args_is_help=True)
    made.command("add")(add_subscription)
    made.command("list")(list_subscriptions)
    made.command("ping")(ping_subscription)
    made.command("resume")(resume_subscription)
    made.command("rotate-secret")(rotate_secret)
    made.command("remove")(remove_subscription)
    app.add_typer(made, name="subscription")
    app.command()(events)


def add_subscription(
    url: str,
    name: Annotated[str, typer.Option("--name", help="What it is called here.")] = "",
    repo: Annotated[
        list[str] | None, typer.Option(help="Of this repository alone; repeat it.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="Only these, as run.finished; repeat it.")
    ] = None,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a webhook called with what happens to runs from now on; prints its secret, once."""
    body = {"url": url, "id": name, "repos": repo or [], "kinds": kind or []}
    made = find(server, token, data).post("/subscriptions", body)
    if as_json:
        typer.echo(json.dumps(made))
        return
    typer.echo(made["secret"])
    told = f"subscription {made['id']}: the line above is its secret, and is shown this once"
    typer.echo(told, err=True)


def list_subscriptions(
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List whose webhooks are called, and what came of the last call."""
    found = find(server, token, data).all("/subscriptions", "subscriptions")
    if as_json:
        typer.echo(json.dumps({"subscriptions": found}))
        return
    for one in found:
        what = ", ".join(one["kinds"]) or "every event"
        where = ", ".join(one["repos"]) or "every repository"
        typer.echo("\t".join((one["id"], one["url"], what, where, _standing(one))))


def _standing(one: dict[str, Any]) -> str:
    if one["stopped"]:
        return f"stopped: {one['stopped']}"
    if not one["tries"]:
        return "not called yet"
    last = one["tries"][0]
    when = moment(last["at"])
    if not last["said"]:
        return f"took {last['kind']} at {when}"
    again = "" if last["is_over"] else f"; tried {last['attempt']} times, and will be again"
    return f"{last['said']} (at {when}{again})"


def ping_subscription(
    name: str, data: DataOption = None, server: ServerOption = None, token: TokenOption = None
) -> None:
    """Call it now, and say what it answers. Exit code 1: not with a 2xx."""
    told = _post(find(server, token, data), name, "ping")
    if not told["taken"]:
        raise ClientError(f"{name} did not take it: {told['said']}")
    typer.echo(f"{name} took it")


def resume_subscription(
    name: str, data: DataOption = None, server: ServerOption = None, token: TokenOption = None
) -> None:
    """Go on with one that was stopped, with what happens from now on."""
    _post(find(server, token, data), name, "resume")
    typer.echo(f"{name} is called again")


def rotate_secret(
    name: str, data: DataOption = None, server: ServerOption = None, token: TokenOption = None
) -> None:
    """Sign with a new secret, which is printed once, and with the one before too."""
    typer.echo(_post(find(server, token, data), name, "rotate-secret")["secret"])


def remove_subscription(
    name: str, data: DataOption = None, server: ServerOption = None, token: TokenOption = None
) -> None:
    """Call it no more. What waits for it is not sent."""
    find(server, token, data).delete(f"/subscriptions/{quote(name, safe='')}")
    typer.echo(f"{name} is called no more")


def _post(client: Client, name: str, act: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.post(f"/subscriptions/{quote(name, safe='')}/{act}", {})
    return answer


def events(
    repo: Annotated[str, typer.Option(help="Of this repository alone.")] = "",
    after: Annotated[int, typer.Option(help="The place behind which to begin.")] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens, for ever.")
    ] = False,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Print what happened to runs, oldest first, one CloudEvents object a line."""
    client = find(server, token, data)
    if follow:
        # Who is not there from the beginning is no host that is being started again.
        client.get("/whoami")
        for event in followed(client, f"/events/stream?repo={quote(repo, safe='')}", str(after)):
            typer.echo(event.data)
    while (page := client.get("/events", repo=repo, after=after, limit=PAGE))["events"]:
        for one in page["events"]:
            typer.echo(json.dumps(one))
        after = page["next"]
