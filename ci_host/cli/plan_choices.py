"""Plan choices: which pipelines an event asks for, and why, or why not.

By the functions that decide it on a server, over what git knows of the checkout.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci_host.adapters.git.changes import changed_paths, is_before, merge_base, message_of
from ci_host.cli.client import ClientError
from ci_host.cli.working_tree import commit_at
from pipelines.bundle import PipelineEntry
from pipelines.event import Event, EventKind
from pipelines.paths import has_paths, is_touched
from pipelines.trigger import (
    BY_MESSAGE,
    BY_PATHS,
    asks_to_be_skipped,
    matching,
    wanted,
    why_unwanted,
)

PATHS_NAMED = 3


@dataclass(frozen=True, slots=True)
class Choice:
    """`why` it runs, or does not."""

    entry: PipelineEntry
    runs: bool
    why: str


@dataclass(frozen=True, slots=True)
class Change:
    """What the event's commit says and has changed. `paths` None: everything, as far as is known.
    `since` is in words."""

    message: str
    paths: list[str] | None
    since: str


def change_of(event: Event, bare: Path, base: str) -> Change:
    """As git has it in the repository of a snapshot. `base`: the branch that changes are for."""
    message = message_of(bare, event.commit)
    if event.kind is EventKind.MANUAL:
        return Change(message, None, "")
    request = event.pull_request
    before = "" if request is not None else event.before
    if before and is_before(bare, before, event.commit):
        return Change(message, changed_paths(bare, before, event.commit), f"since {before[:10]}")
    branch = _full(base if request is None else request.base_ref)
    tip = "" if branch == event.ref else commit_at(bare, branch)
    old = merge_base(bare, event.commit, tip) if tip else None
    if old is None:
        return Change(message, None, "")
    short = branch.removeprefix("refs/heads/")
    return Change(message, changed_paths(bare, old, event.commit), f"since it parted from {short}")


def choices_of(
    entries: Sequence[PipelineEntry], event: Event, pipeline: str, change: Change
) -> list[Choice]:
    """Each pipeline, or only the one of this name. Raises ClientError: there is none."""
    asked = [entry for entry in entries if pipeline in ("", entry.name)]
    if not asked:
        names = ", ".join(entry.name for entry in entries) or "none"
        wish = f"pipeline {pipeline!r}" if pipeline else "pipeline"
        raise ClientError(f"there is no {wish} (there is: {names})", 4)
    return [_choice(entry, event, change) for entry in asked]


def _choice(entry: PipelineEntry, event: Event, change: Change) -> Choice:
    if entry.error is not None:
        return Choice(entry, True, "its file cannot be loaded, which any event would tell")
    if not wanted(entry.triggers, event):
        return Choice(entry, False, why_unwanted(entry.triggers, event))
    if event.kind is EventKind.PUSH and asks_to_be_skipped(change.message):
        return Choice(entry, False, BY_MESSAGE)
    if event.kind is EventKind.MANUAL:
        return Choice(entry, True, "somebody starts it by hand")
    if entry.triggers is None:
        return Choice(entry, True, "it declares no trigger, so it runs on every push")
    found = matching(entry.triggers, event)
    return _by_paths(entry, found, change)


def _by_paths(entry: PipelineEntry, found: list[dict[str, Any]], change: Change) -> Choice:
    declared = "; ".join(_declared(one) for one in found)
    if not has_paths(found):
        return Choice(entry, True, declared)
    if change.paths is None:
        return Choice(entry, True, f"{declared}: nobody can say what has changed")
    fitting = [path for path in change.paths if is_touched(found, [path])]
    if not is_touched(found, change.paths):
        count = len(change.paths)
        said = f"{BY_PATHS} {declared} ({count} changed {change.since})"
        return Choice(entry, False, said)
    more = len(fitting) - PATHS_NAMED
    named = ", ".join(fitting[:PATHS_NAMED]) + (f" and {more} more" if more > 0 else "")
    return Choice(entry, True, f"{declared}: {named} changed {change.since}")


def _declared(trigger: dict[str, Any]) -> str:
    """As its author wrote it: `on.push(branches=['main'])`."""
    return f"on.{trigger.get('on')}({', '.join(_arguments(trigger))})"


def _arguments(trigger: dict[str, Any]) -> Iterator[str]:
    for name, value in trigger.items():
        if name != "on" and value:
            yield f"{name}={value!r}"


def _full(branch: str) -> str:
    return branch if branch.startswith("refs/") else f"refs/heads/{branch}"
