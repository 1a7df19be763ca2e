"""Commands that act on a run: `start`, `approve`, `signal`, `cancel`, `pause` and their like."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ci_host.cli.client import ClientError, find, run_path
from ci_host.cli.options import (
    DataOption,
    PriorityOption,
    ServerOption,
    TokenOption,
    WaitOption,
    wait_s_of,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(start)
    app.command()(approve)
    app.command()(reject)
    app.command()(signal)
    app.command()(retry)
    for name, act in ACTS.items():
        app.command(name, help=act.help)(_command(name, act))
    app.command()(rerun)
    app.command()(fork)


def start(
    repo: str,
    commit: str,
    ref: str = "",
    pipeline: str = "pipeline",
    key: Annotated[str, typer.Option(help="The same key twice is one run.")] = "",
    input_: Annotated[list[str] | None, typer.Option("--input", help="NAME=VALUE")] = None,
    priority: PriorityOption = None,
    wait_on_failure: WaitOption = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Start a run by hand, with the code of a commit."""
    body = {
        "repo": repo,
        "commit": commit,
        "ref": ref,
        "pipeline": pipeline,
        "key": key,
        "inputs": parsed_inputs(input_ or []),
        "priority": priority,
        "wait_s": wait_s_of(wait_on_failure),
    }
    for run in find(server, token, data).post("/runs", body)["runs"]:
        typer.echo(run)


def parsed_inputs(given: list[str]) -> dict[str, Any]:
    """`name=value` pairs; a value that reads as JSON is taken as that, else as text."""
    inputs: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise ClientError(f"--input {text!r}: write NAME=VALUE", 2)
        try:
            inputs[name] = _json(value)
        except ValueError:
            inputs[name] = value
    return inputs


def _json(text: str) -> Any:  # noqa: ANN401 whatever was typed
    return json.loads(text, parse_constant=_refuse)


def _refuse(word: str) -> None:
    # Python reads NaN and Infinity, which are no JSON.
    raise ValueError(f"{word} is not in JSON")


def _gate_path(run: str, gate: str) -> str:
    return f"{run_path(run)}/gates/{quote(gate, errors='replace')}"


def approve(
    run: str,
    gate: str,
    input_: Annotated[list[str] | None, typer.Option("--input", help="NAME=VALUE")] = None,
    comment: str = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Open a gate."""
    body = {"approved": True, "inputs": parsed_inputs(input_ or []), "comment": comment}
    answer = find(server, token, data).post(_gate_path(run, gate), body)
    typer.echo(f"{answer['by']} approved gate {gate} of run {answer['run']}")


def reject(
    run: str,
    gate: str,
    comment: str = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Refuse at a gate; the run hears it as GateRejected."""
    body = {"approved": False, "comment": comment}
    answer = find(server, token, data).post(_gate_path(run, gate), body)
    typer.echo(f"{answer['by']} rejected gate {gate} of run {answer['run']}")


def signal(
    run: str,
    name: str,
    payload: Annotated[str, typer.Argument(help="JSON")] = "null",
    id_: Annotated[str, typer.Option("--id", help="The same id twice is one signal.")] = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Send a signal to a run; it is kept if nobody waits for it yet."""
    try:
        value = _json(payload)
    except ValueError as error:
        raise ClientError(f"the payload is no JSON: {error}", 2) from error
    body = {"name": name, "payload": value, "id": id_}
    answer = find(server, token, data).post(f"{run_path(run)}/signals", body)
    typer.echo(f"signal {name} sent to run {answer['run']}")


def retry(
    run: str,
    step: str,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Try a step again now, instead of after its pause."""
    path = f"{run_path(run)}/steps/{quote(step, errors='replace')}/retry"
    answer = find(server, token, data).post(path, {})
    typer.echo(f"attempt {answer['attempt']} of step {step} of run {answer['run']} begins now")


@dataclass(frozen=True, slots=True)
class Act:
    """A command that tells a Run something and nothing more."""

    help: str
    said: str
    takes_reason: bool = True


ACTS = {
    "cancel": Act("Cancel a run; its cleanup code still runs.", "is told to end"),
    "pause": Act(
        "Pause a run: it takes nothing in until it is resumed, and loses nothing.",
        "is told to pause",
    ),
    "resume": Act("Let a paused run go on.", "goes on", takes_reason=False),
    "kill": Act(
        "End a run at once, without its cleanup code; `cancel` is the kind way.",
        "is told to end at once",
    ),
}


def _command(name: str, act: Act) -> Callable[..., None]:
    def tell(
        run: str,
        reason: str = "",
        data: DataOption = None,
        server: ServerOption = None,
        token: TokenOption = None,
    ) -> None:
        answer = find(server, token, data).post(f"{run_path(run)}/{name}", {"reason": reason})
        typer.echo(f"run {answer['run']} {act.said}")

    def tell_plainly(
        run: str,
        data: DataOption = None,
        server: ServerOption = None,
        token: TokenOption = None,
    ) -> None:
        tell(run, "", data, server, token)

    return tell if act.takes_reason else tell_plainly


def rerun(
    run: str,
    failed_only: Annotated[
        bool, typer.Option("--failed-only", help="Do not repeat steps that succeeded.")
    ] = False,
    from_step: Annotated[
        str, typer.Option("--from", help="Take over only what was there before this step.")
    ] = "",
    priority: PriorityOption = None,
    wait_on_failure: WaitOption = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Run an ended run again, as its next attempt."""
    body = {
        "failed_only": failed_only,
        "from_step": from_step,
        "priority": priority,
        "wait_s": wait_s_of(wait_on_failure),
    }
    begun = find(server, token, data).post(f"{run_path(run)}/rerun", body)
    kept = f", with {begun['recalled']} results of {begun['of']}" if begun["recalled"] else ""
    typer.echo(f"{begun['run']} is attempt {begun['attempt']}{kept}")


def fork(
    run: str,
    commit: Annotated[str, typer.Option(help="Run the code of this commit instead.")] = "",
    input_: Annotated[list[str] | None, typer.Option("--input", help="NAME=VALUE")] = None,
    from_step: Annotated[
        str, typer.Option("--from", help="Take over what was there before this step.")
    ] = "",
    key: Annotated[str, typer.Option(help="The same key twice is one run.")] = "",
    priority: PriorityOption = None,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Make a new run from one that is over, with other inputs or code; the forge is not told."""
    body = {
        "commit": commit,
        "inputs": parsed_inputs(input_ or []),
        "from_step": from_step,
        "key": key,
        "priority": priority,
    }
    made = find(server, token, data).post(f"{run_path(run)}/fork", body)
    kept = f", with {made['recalled']} of its results" if made["recalled"] else ""
    typer.echo(f"{made['run']} is a fork of {made['of']}{kept}")
