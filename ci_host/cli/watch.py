"""`watch`: runs of a host as they happen, in a terminal, to their end. What is told, and how, is
`following.py`'s, which they are `checked_out.py`'s; a run of this machine alone is `run.py`'s."""

import json
import shlex
from typing import Any

import typer

from ci_host.cli.checked_out import RunArgument, checked_out, runs_of
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
    """Tell what runs do as it happens, to their end. Exit code 1: one did not succeed."""
    client = find(server, token, data)
    console = paper(stderr=as_json, highlight=False, soft_wrap=True)
    where = f"--server {shlex.quote(server)}" if server else ""
    where = f"--data {shlex.quote(str(data))}" if data and not server else where

    def tell_gate(id_: str, wait: dict[str, Any]) -> None:
        console.print(f"[yellow]{escape(' '.join(wait['words'].split()))}[/]")
        told = pasted("approve", id_, wait["key"]) + with_inputs(wait["inputs"])
        console.print(escape(f"  {told} {where}".rstrip()))
        for asked in inputs_asked(wait):
            console.print(f"  [dim]{escape(asked)}[/]")

    follower = Follower(client, console, where, tell_gate, _nothing)
    ended: dict[str, dict[str, Any]] = {}
    if run:
        wanted = [client.get(run_path(run))]
        ended |= _to_end(follower, wanted, as_json=as_json)
    else:
        here = checked_out()
        wanted = runs_of(client, here, tell=console.print)
        while new := [one for one in wanted if one["id"] not in ended]:
            ended |= _to_end(follower, new, as_json=as_json)
            # While these went on others may have begun, or a further attempt.
            wanted = runs_of(client, here, known=ended, tell=console.print)
    last = {ended[one["id"]]["id"]: ended[one["id"]] for one in wanted}
    _conclude(follower, list(last.values()), as_json=as_json)


def _conclude(follower: Follower, runs: list[dict[str, Any]], *, as_json: bool) -> None:
    """Say why those that failed did. Raises Exit: one did not succeed."""
    for detail in runs:
        if as_json:
            typer.echo(json.dumps(detail))
        elif detail["state"] != ENDED_WELL:
            for line in lines_of(follower.client.get(f"{run_path(detail['id'])}/failure")):
                follower.console.print(line)
    if any(detail["state"] != ENDED_WELL for detail in runs):
        raise typer.Exit(1)


def _to_end(
    follower: Follower, runs: list[dict[str, Any]], *, as_json: bool
) -> dict[str, dict[str, Any]]:
    """Until all are over: what each came to, by its id, and by that of its last successor."""
    console = follower.console
    over = {one["id"] for one in runs if _is_over(one)}
    for one in runs:
        console.print(_heading(one))
        if _is_over(one) and not as_json:
            follower.leave_out_log(_broken_job(follower.client, one["id"]))
    ended: dict[str, dict[str, Any]] = {}
    found = follower.all_to_end([one["id"] for one in runs])
    for one, detail in zip(runs, found, strict=True):
        ended |= {one["id"]: detail, detail["id"]: detail}
        if not as_json and (one["id"] not in over or detail["id"] != one["id"]):
            console.print(_heading(detail))
    return ended


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
