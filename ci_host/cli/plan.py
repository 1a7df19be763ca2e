"""`staunch plan`: what would run on an event, and why, without running it. Here: words and files.

The working tree's pipelines are loaded into a sandbox as a run loads them, and told that all went
well. Nothing is started: no installation, no job.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ci_host.cli.client import ClientError
from ci_host.cli.options import CacheOption, JsonOption, SupposeOption, default_cache
from ci_host.cli.paper import paper
from ci_host.cli.plain import escape

if TYPE_CHECKING:
    # Imported where they are used: they load wasmtime.
    from ci_host.cli.plan_finding import Asked, Found
    from ci_host.testkit.planned import PlannedRun
    from ci_host.testkit.supposed import Supposition

NAMES_SHOWN_MAX = 30
_SUPPOSED = re.compile(r"(?P<step>.+?)\.(?P<name>[A-Za-z_][\w-]*)=(?P<value>.*)", re.S)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(plan)


def plan(
    path: Annotated[Path, typer.Argument(help="A git checkout.")] = Path(),
    event: Annotated[
        str, typer.Option("--event", help="What happens: push, pr, tag:NAME, or a JSON file.")
    ] = "",
    pipeline: Annotated[str, typer.Option(help="Only this one. Without --event: pipeline.")] = "",
    fail: Annotated[
        list[str] | None, typer.Option("--fail", help="A step, or a glob, that does not go well.")
    ] = None,
    suppose: SupposeOption = None,
    input_: Annotated[list[str] | None, typer.Option("--input", help="NAME=VALUE")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw it into this file.")] = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would run on an event, and why, as if all went well. Nothing is run."""
    # Only here: `staunch --help` need not wait for it.
    from ci_host.cli.building import build_image
    from ci_host.cli.plan_finding import Asked, found_of
    from ci_host.cli.working_tree import top_of
    from ci_host.cli.writing import parsed_inputs
    from ci_host.testkit.supposed import Supposition

    supposition = Supposition(tuple(fail or ()), supposed_values(suppose or []))
    inputs = parsed_inputs(input_ or [])
    if inputs and event:
        raise ClientError("--input is for a start by hand: leave --event out", 2)
    top = top_of(path.absolute())
    images = (cache or default_cache()).resolve()
    build_image(images)
    found = found_of(top, images, Asked(event, pipeline, inputs, supposition))
    check_names(found, supposition)
    if svg is not None:
        _draw(found, supposition, svg)
    if as_json:
        typer.echo(json.dumps(_told(found, supposition)))
    else:
        _print(found, supposition, svg)
    has_failed = not supposition.fails and any(run.state == "failed" for run in found.runs)
    if not found.runs or has_failed:
        raise typer.Exit(1)


def check_only(top: Path, images: Path, asked: "Asked", only: tuple[str, ...]) -> None:
    """Look before some steps are run really. Raises ClientError: there is none of such a name."""
    from ci_host.cli.plan_finding import found_of
    from ci_host.testkit.supposed import Supposition

    found = found_of(top, images, asked)
    keys = [step.key for run in found.runs for step in run.steps]
    names = Supposition(only, asked.supposition.values).unused(keys)
    if names and found.runs:
        raise _unknown(names[0], keys, [one.stopped or _said(one) for one in found.runs])


def _said(run: "PlannedRun") -> str:
    error = run.failure
    return "" if error is None else f"{error.type}: {error.message}"


def _unknown(name: str, keys: list[str], ends: list[str]) -> ClientError:
    more = ["…"] if len(keys) > NAMES_SHOWN_MAX else []
    there = ", ".join([*keys[:NAMES_SHOWN_MAX], *more]) or "none"
    ended = "; ".join(filter(None, ends))
    hint = f". What comes later is not known: {ended}" if ended else ""
    return ClientError(f"there is no step {name!r}; there are: {there}{hint}", 2)


def supposed_values(given: list[str]) -> dict[str, dict[str, Any]]:
    """Of `STEP.NAME=VALUE`: by step, by name; what reads as JSON is taken as that, else as text.

    Raises ClientError.
    """
    found: dict[str, dict[str, Any]] = {}
    for text in given:
        parts = _SUPPOSED.fullmatch(text)
        if parts is None:
            raise ClientError(f"--suppose {text!r}: write STEP.NAME=VALUE", 2)
        found.setdefault(parts["step"], {})[parts["name"]] = _json_or_text(parts["value"])
    return found


def _json_or_text(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def check_names(found: "Found", supposition: "Supposition") -> None:
    """Raises ClientError: something was said of a step that there is not."""
    kinds = {step.key: step.kind for run in found.runs for step in run.everything()}
    for name in supposition.unused(list(kinds)):
        raise _unknown(name, list(kinds), [])
    for key, kind in kinds.items():
        if kind == "do" and key in supposition.fails:
            raise ClientError(
                f"--fail {key}: a step.do is computed, not supposed; jobs, gates, waits and calls"
                " can be said not to go well",
                2,
            )


def _told(found: "Found", supposition: "Supposition") -> dict[str, Any]:
    import msgspec

    from ci_host.cli.plan_finding import notes_of
    from ci_host.cli.plan_words import supposed_words, told

    runs = iter(found.runs)
    pipelines = [
        {"pipeline": one.entry.name, "file": one.entry.file, "runs": one.runs, "why": one.why}
        | (told(next(runs)) if one.runs else {})
        for one in found.choices
    ]
    return {
        "event": msgspec.to_builtins(found.event),
        "supposed": supposed_words(supposition.fails),
        "notes": list(notes_of(found.event)),
        "pipelines": pipelines,
    }


def _print(found: "Found", supposition: "Supposition", svg: Path | None) -> None:
    from ci_host.cli.plan_finding import notes_of
    from ci_host.cli.plan_tree import tree_of
    from ci_host.cli.plan_words import event_words, supposed_words

    console = paper()
    console.print(f"[bold]{escape(event_words(found.event))}[/]", highlight=False)
    console.print(f"[dim]{escape(supposed_words(supposition.fails))}[/]", highlight=False)
    for note in notes_of(found.event):
        console.print(f"[yellow]{escape(note)}[/]", highlight=False)
    runs = iter(found.runs)
    for one in found.choices:
        name, why = escape(one.entry.name), escape(one.why)
        if one.runs:
            console.print(tree_of(next(runs), f"[bold green]●[/] [bold]{name}[/] runs: {why}"))
        else:
            console.print(f"○ [bold]{name}[/] does not run: {why}", highlight=False)
    if svg is not None:
        console.print(f"[dim]drawn in {escape(str(svg))}[/]", highlight=False, soft_wrap=True)


def _draw(found: "Found", supposition: "Supposition", path: Path) -> None:
    from ci_host.cli.plan_drawing import svg_of
    from ci_host.cli.plan_words import event_words, supposed_words

    drawn = svg_of(found.runs, event_words(found.event), supposed_words(supposition.fails))
    try:
        path.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise ClientError(f"{path}: {error.strerror}; name another file", 2) from error
