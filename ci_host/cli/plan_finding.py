"""Plan finding: a working tree's pipelines, loaded and played with supposed answers. For `plan`."""

import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from staunch.entered import WrongInput

from ci_host.adapters.git.bundle import read_bundle
from ci_host.adapters.git.errors import GitError
from ci_host.adapters.wasm.image import ImageUnavailable
from ci_host.adapters.wasm.instance import WasmImage
from ci_host.cli.client import ClientError
from ci_host.cli.local_events import checkout_of, event_of, lay
from ci_host.cli.plan_choices import Change, Choice, change_of, choices_of
from ci_host.cli.working_tree import snapshot
from ci_host.engine.run_inputs import entered
from ci_host.tenant.host import TenantHost
from ci_host.tenant.limits import Limits
from ci_host.tenant.sandbox import TenantFailed
from ci_host.tenant.threads import sandbox_threads
from ci_host.testkit.planned import PlannedRun, Planner
from ci_host.testkit.supposed import Supposition
from pipelines.bundle import Bundle, PipelineEntry
from pipelines.event import Event, EventKind
from pipelines.failure import Failure
from pipelines.trust import is_from_elsewhere

PIPELINE_DEFAULT = "pipeline"
NO_IMAGE = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to know. `event` empty: of a start by hand, with these `inputs`."""

    event: str
    pipeline: str
    inputs: dict[str, Any]
    supposition: Supposition


@dataclass(frozen=True, slots=True)
class Found:
    """What happens, which pipelines want it, and what those would do, in the same order."""

    event: Event
    choices: list[Choice]
    runs: list[PlannedRun]


@dataclass(frozen=True, slots=True)
class _Tree:
    """A commit of the working tree, what is in it, and what it changes."""

    name: str
    event: Event
    change: Change
    bundle: Bundle


def found_of(top: Path, images: Path, asked: Asked) -> Found:
    """Look, load and play. Raises ClientError."""
    with tempfile.TemporaryDirectory(prefix="staunch-plan-") as folder:
        tree = _tree(top, Path(folder) / f"{top.name}.git", asked.event)
    return _in_sandbox(images, lambda host: _planned(host, tree, asked))


def notes_of(event: Event) -> Iterator[str]:
    """What a server would judge, and nobody here can."""
    if event.pull_request is not None and is_from_elsewhere(event):
        yield (
            "a change from elsewhere is judged by the policy of the server: by default the pipeline"
            " of its base runs, without secrets. Here it is the one of the change"
        )


def _tree(top: Path, bare: Path, asked: str) -> _Tree:
    taken = snapshot(top, bare)
    here = checkout_of(top)
    event = Event(kind=EventKind.MANUAL, ref=taken.ref, commit=taken.commit)
    if asked:
        event = event_of(asked, taken, here)
        lay(event, taken, here)
    try:
        bundle = read_bundle(bare, event.commit)
    except GitError as error:
        raise ClientError(str(error), 4) from error
    return _Tree(top.name, event, change_of(event, bare, here.base), bundle)


def _in_sandbox(images: Path, act: Callable[[TenantHost], Found]) -> Found:
    limits = Limits(blanks=0, primed=0)
    try:
        image = WasmImage(images, limits, lambda said: typer.echo(said, err=True))
    except ImageUnavailable as error:
        raise ClientError(str(error), NO_IMAGE) from error
    thread = sandbox_threads(1)
    host = TenantHost(image, limits)
    try:
        return thread.submit(act, host).result()
    finally:
        thread.submit(host.close).result()
        thread.shutdown()
        image.close()


def _planned(host: TenantHost, tree: _Tree, asked: Asked) -> Found:
    try:
        prepared = host.prepare(tree.bundle)
    except TenantFailed as error:
        raise ClientError(f"its pipeline files cannot be loaded: {error}") from error
    is_by_hand = tree.event.kind is EventKind.MANUAL
    pipeline = asked.pipeline or (PIPELINE_DEFAULT if is_by_hand else "")
    choices = choices_of(prepared.pipelines, tree.event, pipeline, tree.change)
    planner = Planner(host, prepared, tree.name, asked.supposition, at=_at(tree.event))
    runs = [
        _run(planner, one.entry, tree.event, asked.inputs if is_by_hand else None)
        for one in choices
        if one.runs
    ]
    return Found(tree.event, choices, runs)


def _at(event: Event) -> float:
    return time.time() if event.schedule is None else event.schedule.due


def _run(
    planner: Planner, entry: PipelineEntry, event: Event, given: dict[str, Any] | None
) -> PlannedRun:
    if entry.error is not None:
        return planner.run(entry, event, None)
    try:
        inputs = entered(entry, given)
    except WrongInput as error:
        failure = Failure(type="WrongInput", message=str(error), file=entry.file)
        return PlannedRun(entry, "failed", failure=failure)
    return planner.run(entry, event, inputs)
