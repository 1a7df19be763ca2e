"""`runs`: the list of runs, by what they are filtered."""

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from ci_host.cli.client import find
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.plain import escape
from ci_host.cli.reading import console, state_text, unless_normal
from ci_host.cli.waits import duration

# As many as git itself shows of one.
COMMIT_CHARS = 7


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(runs)


def runs(
    repo: Annotated[str, typer.Option(help="Only this repository.")] = "",
    state: Annotated[str, typer.Option(help="Only this state.")] = "",
    branch: Annotated[str, typer.Option(help="Only this branch, or a full ref.")] = "",
    commit: Annotated[str, typer.Option(help="Only commits that begin so.")] = "",
    sender: Annotated[str, typer.Option(help="Only what this person caused.")] = "",
    event: Annotated[str, typer.Option(help="Only this kind: push, pull_request, …")] = "",
    since: Annotated[str, typer.Option(help="Begun since: 7d, 12h, 2026-11-27.")] = "",
    until: Annotated[str, typer.Option(help="Begun until, as --since.")] = "",
    view: Annotated[str, typer.Option(help="What this saved view of yours shows.")] = "",
    limit: int = 20,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first."""
    client = find(server, token, data)
    wanted = {"repo": repo, "state": state, "ref": branch, "commit": commit, "sender": sender,
              "event": event, "since": since, "until": until, "view": view}  # fmt: skip
    asked = {name: value for name, value in wanted.items() if value}
    found = client.get("/runs", limit=limit, **asked)
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    # What the next command needs is whole in the narrowest terminal.
    table.add_column("run", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("age", no_wrap=True)
    table.add_column("of")
    table.add_column("says, waits for")
    for run in found["runs"]:
        table.add_row(
            run["id"],
            state_text(run["state"]),
            duration(time.time() - run["created_at"]),
            _subject(run),
            escape(_doing(run)),
        )
    console.print(table if found["runs"] else _nothing(asked))


def _nothing(asked: Mapping[str, str]) -> str:
    return "No run is like this." if asked else "No runs yet: push something."


def _subject(run: dict[str, Any]) -> str:
    """Repository, ref, commit, and what of the pipeline and the priority is not as usual."""
    ref = run["ref"].removeprefix("refs/heads/")
    words = [escape(run["repo_name"]), escape(ref), run["commit"][:COMMIT_CHARS]]
    if run["pipeline"] != "pipeline":
        words.append(f"· {escape(run['pipeline'])}")
    return " ".join(words) + unless_normal(run["priority"])


def _doing(run: dict[str, Any]) -> str:
    """What it says of itself and what it waits for, while it goes on."""
    if run["finished_at"] is not None:
        return ""
    parts = [run["note"]["words"] if run["note"] else "", run["waiting_for"]]
    return "\n".join(part for part in parts if part)
