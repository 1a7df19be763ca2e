"""Announcements of a Turn: what it says to programs outside. Pure; who tells them is not here."""

from collections.abc import Iterator
from typing import Any

from pipelines.announcement import Announcement, AnnouncementKind
from pipelines.commands import GateTerms, Result, StepKind, StepState
from pipelines.events import RunStarted
from pipelines.failure import Failure
from pipelines.turn import Turn

BAD = frozenset({StepState.FAILED, StepState.TIMED_OUT})
# A gate whose Run was cancelled was answered by nobody.
ANSWERED = BAD | {StepState.SUCCEEDED}


def announcements_of(started: RunStarted, turn: Turn, base_url: str) -> Iterator[Announcement]:
    """In the order in which it happened."""
    about = _about(started, base_url)
    for number, (kind, more) in enumerate(_told(turn)):
        yield Announcement(
            kind=kind,
            repo=started.repo,
            run=started.run,
            turn=turn.number,
            number=number,
            at=turn.now,
            data=about | more,
        )


def _told(turn: Turn) -> Iterator[tuple[AnnouncementKind, dict[str, Any]]]:
    if turn.number == 1:
        yield AnnouncementKind.RUN_STARTED, {}
    for result in turn.results:
        # What an earlier Run found out was told of that one.
        if not result.recalled_from:
            yield from _settled(result)
    for command in turn.commands:
        if command.kind is StepKind.GATE and command.gate is not None:
            yield AnnouncementKind.GATE_WAITING, _gate(command.key, command.gate)
    if turn.paused is not None:
        yield (
            AnnouncementKind.RUN_PAUSED,
            {"by": turn.paused.by, "reason": turn.paused.reason},
        )
    if turn.end is not None:
        said = {"state": str(turn.end.state), "error": _error(turn.end.error)}
        yield AnnouncementKind.RUN_FINISHED, said


def _settled(result: Result) -> Iterator[tuple[AnnouncementKind, dict[str, Any]]]:
    if result.kind is StepKind.GATE:
        if result.state in ANSWERED:
            yield AnnouncementKind.GATE_ANSWERED, _answer(result)
    elif result.state in BAD:
        yield AnnouncementKind.STEP_FAILED, _step(result)


def _about(started: RunStarted, base_url: str) -> dict[str, Any]:
    return {
        "run": started.run,
        "url": f"{base_url}/runs/{started.run}",
        "repo": started.repo,
        "repo_name": started.repo_name,
        "pipeline": started.pipeline,
        "commit": started.event.commit,
        "ref": started.event.ref,
        "event": str(started.event.kind),
        "attempt": 1 if started.rerun is None else started.rerun.attempt,
    }


def _answer(result: Result) -> dict[str, Any]:
    by = result.value.get("by") if isinstance(result.value, dict) else None
    return {
        "gate": result.key,
        "state": str(result.state),
        "by": by or [],
        "error": _error(result.error),
    }


def _step(result: Result) -> dict[str, Any]:
    return {
        "step": result.key,
        "kind": str(result.kind),
        "state": str(result.state),
        "error": _error(result.error),
    }


def _gate(key: str, terms: GateTerms) -> dict[str, Any]:
    return {
        "gate": key,
        "message": terms.message,
        "approvers": terms.approvers,
        "needed": terms.needed,
        "inputs": terms.inputs,
        "due": terms.due,
    }


def _error(error: Failure | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"type": error.type, "message": error.message, "where": error.where()}
