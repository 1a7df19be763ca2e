"""`watch`: a run of a host as it happens, in a terminal, to its end. What is told, and how, is
`following.py`'s; a run of this machine alone is `run.py`'s."""

import json
import shlex
from typing import Any

import typer

from ci_host.cli.checked_out import APPEARS_S, RunArgument, path_of
from ci_host.cli.client import Client, find, run_path
from ci_host.cli.following import ENDED_WELL, Follower
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.paper import paper
from ci_host.cli.pasted import pasted, with_inputs
from ci_host.cli.plain import escape
from ci_host.cli.reading import state_text
from ci_host.cli.waits import duration, inputs_asked
from ci_host.cli.why import lines_of


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(watch)


def watch(
    run: RunArgument = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what a run does as it happens, to its end. Exit code 1: it did not succeed."""
    client = find(server, token, data)
    console = paper(stderr=as_json, highlight=False, soft_wrap=True)
    where = f"--server {shlex.quote(server)}" if server else ""
    where = f"--data {shlex.quote(str(data))}" if data and not server else where
    began = client.get(path_of(client, run, patience_s=APPEARS_S, tell=console.print))
    console.print(_heading(began))

    def tell_gate(id_: str, wait: dict[str, Any]) -> None:
        console.print(f"[yellow]{escape(' '.join(wait['words'].split()))}[/]")
        told = pasted("approve", id_, wait["key"]) + with_inputs(wait["inputs"])
        console.print(escape(f"  {told} {where}".rstrip()))
        for asked in inputs_asked(wait):
            console.print(f"  [dim]{escape(asked)}[/]")

    was_over = _is_over(began)
    follower = Follower(client, console, where, tell_gate, _nothing)
    if was_over and not as_json:
        follower.leave_out_log(_broken_job(client, began["id"]))
    detail = follower.to_end(began["id"])
    if as_json:
        typer.echo(json.dumps(detail))
    elif not was_over or detail["id"] != began["id"]:
        console.print(_heading(detail))
    if detail["state"] == ENDED_WELL:
        return
    if not as_json:
        for line in lines_of(client.get(f"{run_path(detail['id'])}/failure")):
            console.print(line)
    raise typer.Exit(1)


def _is_over(run: dict[str, Any]) -> bool:
    return run["finished_at"] is not None


def _broken_job(client: Client, run: str) -> str:
    """The job whose last lines stand at the end; empty: none's do."""
    job = client.get(f"{run_path(run)}/failure")["job"]
    return "" if job is None else str(job["job"])


def _heading(run: dict[str, Any]) -> str:
    took = ""
    if run["finished_at"] is not None:
        took = f" · {duration(run['finished_at'] - run['created_at'])}"
    return (
        f"[bold]{run['id']}[/] {state_text(run['state'])} · {escape(run['repo_name'])}"
        f" · {escape(run['pipeline'])} · {escape(run['ref'])} {run['commit'][:10]}{took}"
    )


def _nothing() -> None:
    """A host that is being started again is waited for; whoever will not wait presses Ctrl-C."""
