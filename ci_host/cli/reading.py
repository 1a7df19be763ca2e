"""Commands that read: `show`, `history`, `logs`, `runners`; `runs` is `run_list.py`'s."""

import json
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.tree import Tree

from ci_host.cli.checked_out import RunArgument, path_of
from ci_host.cli.client import Client, ClientError, find, run_path
from ci_host.cli.clock import day, times_of_day
from ci_host.cli.coloured import Coloured, for_terminal
from ci_host.cli.links import link_of
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.paper import paper
from ci_host.cli.pasted import pasted
from ci_host.cli.plain import escape
from ci_host.cli.streams import followed
from ci_host.cli.trust import trust_line
from ci_host.cli.waits import coverage_words, duration, inputs_asked, timed_out, waiting_lines

# As many as the host gives in one answer.
LINES_AT_ONCE = 10_000
LEFT: Mapping[str, Any] = {"title_justify": "left"}

console = paper()

COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "lost": "red",
    "cancelled": "yellow",
    "continued": "blue",
    "running": "cyan",
    "pending": "cyan",
    "paused": "yellow",
    "retrying": "yellow",
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(show)
    app.command()(history)
    app.command()(logs)
    app.command("runners")(list_runners)


def unless_normal(priority: str) -> str:
    """A priority that is worth a word."""
    return "" if priority == "normal" else f" [bold]{priority}[/]"


def state_text(state: str) -> str:
    """A state in its colour."""
    return f"[{COLOURS.get(state, 'white')}]{state}[/]"


def show(
    run: RunArgument = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one run: why it failed first, then its steps and its timeline."""
    client = find(server, token, data)
    detail = client.get(path_of(client, run))
    if as_json:
        typer.echo(json.dumps(detail))
    else:
        print_run(detail)


def print_run(detail: dict[str, Any]) -> None:
    """A run in detail, as the API has it, for a person."""
    console.print(_heading(detail), soft_wrap=True)
    for said in [*waiting_lines(detail, time.time()), *limit_lines(detail)]:
        console.print(f"[yellow]{escape(said)}[/]", highlight=False, soft_wrap=True)
    _print_failure(detail)
    console.print(_step_tree(detail))
    console.print(_timeline(detail))


def limit_lines(detail: dict[str, Any]) -> Iterator[str]:
    """The limits that the Run comes near to, one a line."""
    for near in detail["warnings"]:
        yield f"near a limit: {near['words']}: {near['advice']}"


def _heading(run: dict[str, Any]) -> str:
    took = (run["finished_at"] or time.time()) - run["created_at"]
    said = f"\n{escape(run['note']['words'])}" if run["note"] else ""
    for name, value in (run["given"] or {}).items():
        said += f"\n[dim]--input[/] {escape(f'{name}={json.dumps(value, ensure_ascii=False)}')}"
    above = f"\ncalled by {run['parent']} {escape(run['parent_step'])}" if run["parent"] else ""
    if run["fork_of"]:
        above += f"\nforked from {run['fork_of']}"
    for fork in run["forks"]:
        above += f"\nfork: {fork['run']} {state_text(fork['state'])}"
    if run["continues"]:
        above += f"\ncontinues {run['continues']}"
    if run["continued_as"]:
        above += f"\ncontinued as {run['continued_as']}"
    if run["is_imported"]:
        above += "\nimported: a record of another installation"
    if "why" in run["trust"]:
        above += f"\n{escape(trust_line(run['trust']))}"
    if run["rerun_of"]:
        above += f"\nattempt {run['attempt']}, after {run['rerun_of']}"
    for other in run["reruns"]:
        above += f"\nattempt {other['attempt']}: {other['run']} {state_text(other['state'])}"
    return (
        f"[bold]{run['id']}[/] {state_text(run['state'])} · {escape(run['repo_name'])}"
        f" · {escape(run['pipeline'])}{unless_normal(run['priority'])} · {escape(run['ref'])}"
        f" {run['commit'][:10]} · {duration(took)}{said}\n[dim]{escape(run['url'])}[/]{above}"
    )


def _print_failure(run: dict[str, Any]) -> None:
    error = run["error"]
    if error is None:
        return
    place = f"{error['file']}:{error['line']}: " if error.get("file") else ""
    # Places are whole, for whoever copies them.
    say = partial(console.print, highlight=False, soft_wrap=True)
    say(f"[bold red]{escape(place + error['message'])}[/]")
    for attempt in run["attempts"]:
        for note in attempt["annotations"]:
            said = f"{note['file']}:{note['line']}: {note['message']}"
            say(f"  [red]{escape(said)}[/]")
    if error.get("traceback"):
        say(f"[dim]{escape(error['traceback'])}[/]")


def recalled_words(of: str) -> str:
    """Why a step that has a result was not done."""
    # Only here: the authors' package is not needed by most commands.
    from staunch.supposed import SUPPOSED

    return "not done: taken to have succeeded" if of == SUPPOSED else f"recalled from {of}"


def _step_tree(run: dict[str, Any]) -> Tree:
    tree = Tree("steps")
    for step in run["steps"]:
        until = step["finished_at"] or time.time()
        said = f"{state_text(step['state'])} {escape(step['key'])} [dim]{step['kind']}[/]"
        branch = tree.add(f"{said} {duration(until - step['started_at'])}")
        if step["recalled_from"]:
            branch.add(f"[dim]{recalled_words(step['recalled_from'])}[/]")
        if step["child"]:
            branch.add(f"[dim]run[/] {step['child']}")
        if step["gate"] and step["state"] == "running":
            who = ", ".join(step["gate"]["approvers"]) or "anybody"
            told = escape(pasted("approve", run["id"], step["key"]))
            branch.add(f"[yellow]{told}[/] [dim]({escape(who)})[/]")
            for said in inputs_asked(step["gate"]):
                branch.add(f"[dim]--input {escape(said)}[/]")
        for attempt in run["attempts"]:
            if attempt["key"] == step["key"]:
                code = "" if attempt["exit_code"] is None else f" exit {attempt['exit_code']}"
                branch.add(
                    f"#{attempt['attempt']} {state_text(attempt['state'])}{code}"
                    f" [dim]{escape(attempt['message'])} {attempt['runner']}[/]"
                )
                _add_facts(branch, attempt)
    return tree


def _add_facts(branch: Tree, attempt: dict[str, Any]) -> None:
    if attempt["image"]:
        branch.add(f"[dim]image {escape(attempt['image'])}[/]")
    if attempt["coverage"]:
        branch.add(f"[dim]{escape(coverage_words(attempt['coverage']))}[/]")
    for one in attempt["services"]:
        said = f"service {one['name']} {one['state']} {one['message']} {one['image']}"
        branch.add(f"[dim]{escape(' '.join(said.split()))}[/]")
    for denied in attempt["denied"]:
        branch.add(f"[yellow]not reached:[/] {escape(denied)}")
    for left_out in attempt["left_out"]:
        branch.add(f"[yellow]left out:[/] {escape(left_out)}")


def timeline_rows(run: dict[str, Any]) -> list[tuple[float, str, str]]:
    """(time, what, detail) of everything that happened to a run, restarts included, in order."""
    rows = [(i["at"], i["type"].replace("_", " "), i["summary"]) for i in run["inputs"]]
    for start in run["restarts"]:
        rows.append((start["at"], "[bold magenta]restarted[/]", f"{start['role']} came back"))
    for attempt in run["attempts"]:
        if attempt["started_at"]:
            said = f"{attempt['key']} #{attempt['attempt']} on {attempt['runner']}"
            rows.append((attempt["started_at"], "job started", said))
    for shell in run["shells"]:
        rows.append((shell["opened_at"], "shell opened", f"{shell['key']} by {shell['by']}"))
        if shell["closed_at"]:
            said = f"{shell['key']} by {shell['by']}: {shell['why'] or 'with its job'}"
            rows.append((shell["closed_at"], "shell closed", said))
    for step in run["steps"]:
        if step["kind"] in ("gate", "wait", "sleep", "do", "call"):
            rows.append((step["started_at"], f"{step['kind']} began", step["key"]))
    rows += [(step["finished_at"], "gate timed out", said) for step, said in timed_out(run)]
    if run["finished_at"]:
        rows.append((run["finished_at"], "run ended", run["state"]))
    # What caused a Turn and what followed from it have one time, up to how it is rounded.
    return sorted(rows, key=lambda row: round(row[0], 3))


def _timeline(run: dict[str, Any]) -> Table:
    rows = timeline_rows(run)
    first = day(rows[0][0]) if rows else ""
    table = Table("time", "since start", "what", "", title=f"timeline · {first}", **LEFT)
    clocks = times_of_day((at for at, _, _ in rows), first)
    for clock, (at, what, detail) in zip(clocks, rows, strict=True):
        since = f"{at - run['created_at']:8.3f} s"
        table.add_row(clock, since, what, escape(detail))
    return table


def history(
    run: str,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a run's history, Turn by Turn, as it is stored."""
    found = find(server, token, data).get(f"{run_path(run)}/history")
    if as_json:
        typer.echo(json.dumps(found))
        return
    turns = [stored["turn"] for stored in found["turns"]]
    first = day(turns[0]["now"]) if turns else ""
    heads = ("turn", "time", "inputs", "asked for", "settled", "state", "by")
    table = Table(*heads, title=" · ".join(filter(None, ("history", first))), **LEFT)
    clocks = times_of_day((turn["now"] for turn in turns), first)
    for clock, turn in zip(clocks, turns, strict=True):
        asked = [f"{c['kind']} {c['key']}" for c in turn.get("commands", [])]
        settled = [f"{r['key']} {r['state']}" for r in turn.get("results", [])]
        table.add_row(
            str(turn["number"]),
            clock,
            ", ".join(str(sequence) for sequence in turn["consumed"]),
            escape("\n".join(asked)),
            escape("\n".join(settled)),
            state_text(turn["state"]),
            turn["by"],
        )
    console.print(table)


def logs(
    run: str,
    job: Annotated[str, typer.Argument(help="The job's name; not needed if there is one.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
    attempt: Annotated[int, typer.Option(help="0: the newest.")] = 0,
    service: Annotated[str, typer.Option(help="Of a service that ran beside the job.")] = "",
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Print a job's log, or a service's. RUN may be a pasted link, to lines of it too."""
    client, link = find(server, token, data), link_of(run)
    if link.first and follow:
        said = "a link to lines ends with them: leave out --follow, or the link's part from # on"
        raise ClientError(said, 2)
    chosen = _choose(
        client.get(run_path(run)),
        job or link.job,
        attempt or link.attempt,
        service or link.service,
    )
    terminal = for_terminal()
    try:
        if link.first:
            _print_lines(client, chosen, link.first, link.last, terminal)
        elif follow:
            _follow(client, chosen, terminal)
        else:
            _echo(client.text(f"/jobs/{chosen}/log"), terminal)
    finally:
        if terminal is not None:
            typer.echo(terminal.end(), nl=False)


def _choose(run: dict[str, Any], job: str, attempt: int, service: str) -> str:
    names = sorted({a["key"] for a in run["attempts"]})
    if not job and len(names) == 1:
        job = names[0]
    found = [a for a in run["attempts"] if a["key"] == job and attempt in (0, a["attempt"])]
    if not found:
        there = ", ".join(names) or "no job has begun yet"
        raise ClientError(f"run {run['id']} has no such job: choose one of: {there}", 4)
    newest = max(found, key=lambda a: a["attempt"])
    if not service:
        return str(newest["job"])
    beside = {one["name"]: one["log"] for one in newest["services"]}
    if service not in beside:
        there = ", ".join(beside) or "none"
        raise ClientError(f"job {newest['key']} has no service {service!r}; it has: {there}", 4)
    return str(beside[service])


def _follow(client: Client, job: str, terminal: Coloured | None) -> None:
    for event in followed(client, f"/jobs/{job}/log/stream", "0"):
        if event.event == "end":
            return
        _echo(event.data, terminal)


def _echo(text: str, terminal: Coloured | None) -> None:
    typer.echo(text if terminal is None else terminal.shown(text), nl=False)


def _print_lines(
    client: Client, job: str, first: int, last: int, terminal: Coloured | None
) -> None:
    """Up to the log's end, if that comes before. Raises ClientError: it has none of them."""
    at, end = first, 0
    while at <= last:
        count = min(last - at + 1, LINES_AT_ONCE)
        lines = client.get(f"/jobs/{job}/log/lines", first=at, count=count)["lines"]
        if lines:
            _echo("".join(f"{line}\n" for line in lines), terminal)
        at += len(lines)
        if len(lines) < count and not end:
            # Fewer come where they are long, too: how many there are is said elsewhere.
            end = client.get(f"/jobs/{job}/log/outline")["lines"]
            if end < first:
                raise ClientError(f"this log has no line {first:,} yet: it has {end:,}", 4)
            last = min(last, end)
        if not lines:
            return


def list_runners(
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the runners that are alive."""
    found = find(server, token, data).get("/runners")
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table("runner", "pools", "slots", "version")
    for one in found["runners"]:
        pools = ", ".join(one["pools"])
        table.add_row(one["runner"], pools, str(one["slots"]), str(one["version"]))
    console.print(table)
