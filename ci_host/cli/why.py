"""`why`: why a run is red, on one screen: what the page of the run shows first, in text."""

import json
from typing import Any

import typer

from ci_host.cli.checked_out import RunArgument, path_of
from ci_host.cli.client import find
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.paper import paper
from ci_host.cli.plain import escape

console = paper(highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(why)


def why(
    run: RunArgument = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a run failed: the step, the place, the tests, the last lines of its log."""
    client = find(server, token, data)
    told = client.get(f"{path_of(client, run, prefer='failed')}/failure")
    if as_json:
        typer.echo(json.dumps(told))
        return
    for line in lines_of(told):
        console.print(line)


def lines_of(told: dict[str, Any]) -> list[str]:
    """The answer of the API, for a person."""
    failure, job = told["failure"], told["job"]
    if failure is None:
        return [f"run {told['run']} is {told['state']}: nothing of it failed", told["url"]]
    step = f" in {escape(failure['step'])}" if failure.get("step") else ""
    found = [
        f"[bold red]{escape(failure['type'])}{step}[/] [dim]run {told['run']}[/]",
        escape(failure["message"]),
    ]
    if failure.get("file"):
        found.append(f"  {_place(failure)} [dim]in the pipeline[/]")
    found += [f"  [red]{_place(one)}[/] {escape(one['message'])}" for one in told["annotations"]]
    found += [f"  [red]✗[/] {_test(one)}" for one in told["tests"]]
    if job is not None:
        code = "" if job["exit_code"] is None else f", exit code {job['exit_code']}"
        found.append(f"[bold]{escape(job['key'])}[/] #{job['attempt']} {job['state']}{code}:")
        found += [f"  {escape(line)}" for line in told["log"]] or ["  [dim]it wrote nothing[/]"]
    found.append(f"[dim]{told['url']}[/]")
    return found


def _place(where: dict[str, Any]) -> str:
    line = f":{where['line']}" if where.get("line") else ""
    return escape(f"{where['file']}{line}")


def _test(test: dict[str, Any]) -> str:
    name = f"{test['suite']} {test['name']}".strip()
    said = test["message"].strip().partition("\n")[0]
    return escape(f"{name}: {said}" if said else name)
