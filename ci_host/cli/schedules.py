"""Commands of schedules: `schedules`, and `schedule pause|resume|run-now`."""

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from ci_host.cli.client import find
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.paper import paper
from ci_host.cli.plain import escape
from ci_host.cli.waits import duration

console = paper()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("schedules")(list_schedules)
    schedule = typer.Typer(help="One schedule.", no_args_is_help=True)
    schedule.command("pause")(pause)
    schedule.command("resume")(resume)
    schedule.command("run-now")(run_now)
    app.add_typer(schedule, name="schedule")


def list_schedules(
    repo: Annotated[str, typer.Option(help="Only this repository.")] = "",
    limit: Annotated[int, typer.Option(help="Of so many repositories.", min=1, max=500)] = 100,
    after: Annotated[int, typer.Option(help="The page after the one that said so.")] = 0,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the schedules: when each is due next, and its last run."""
    found = find(server, token, data).get("/schedules", repo=repo, limit=limit, after=after)
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("repository", "pipeline", "name", "cron", "next", "last run")
    for one in found["schedules"]:
        table.add_row(
            escape(one["repo_name"]),
            escape(one["pipeline"]),
            escape(one["name"]),
            escape(f"{one['cron']}\n{one['tz']}"),
            escape(_next(one)),
            escape(_last(one)),
        )
    console.print(table if found["schedules"] else "No schedules: see on.schedule in the guide.")
    if found["next"] is not None:
        typer.echo(f"there are more: --after {found['next']}")


def _next(one: dict[str, Any]) -> str:
    if one["paused"]:
        return f"paused by {one['paused']['by']}"
    if one["next"] is None:
        return "never"
    left = one["next"] - time.time()
    return f"{_clock(one['next'])}\n" + (f"in {duration(left)}" if left > 0 else "due now")


def _last(one: dict[str, Any]) -> str:
    parts = []
    if one["last_run"]:
        parts.append(f"{one['last_run']}\nfor {_clock(one['last_due'])}")
    skipped = one["skipped"]
    if skipped and skipped["due"] > (one["last_due"] or 0):
        parts.append(f"none for {_clock(skipped['due'])}: {skipped['reason']}")
    return "\n".join(parts)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%Y-%m-%d %H:%M %Z")


def pause(
    repo: str,
    name: str,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pause a schedule: nothing of it is begun until it is resumed."""
    body = {"repo": repo, "name": name}
    one = find(server, token, data).post("/schedules/pause", body)
    _tell(one, as_json, f"{one['name']} is paused by {(one['paused'] or {}).get('by')}")


def resume(
    repo: str,
    name: str,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a paused schedule go on with what is due from now on."""
    body = {"repo": repo, "name": name}
    one = find(server, token, data).post("/schedules/resume", body)
    _tell(one, as_json, f"{one['name']} goes on")


def run_now(
    repo: str,
    name: str,
    key: Annotated[str, typer.Option(help="The same key twice is one run.")] = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Begin a schedule's run now, beside those that are due; prints its id."""
    body = {"repo": repo, "name": name, "key": key}
    begun = find(server, token, data).post("/schedules/run-now", body)
    _tell(begun, as_json, begun["run"])


def _tell(answer: dict[str, Any], as_json: bool, words: str) -> None:
    typer.echo(json.dumps(answer) if as_json else words)
