"""Rerun: what a further attempt of a Run is called, and what it need not find out again. Pure."""

from collections.abc import Sequence

from pipelines.commands import Result, StepKind, StepState
from pipelines.events import Recalled
from pipelines.ids import RunId, run_id
from pipelines.turn import Turn

# A sleep is over in no time if it is recalled, and then nothing has rested.
KINDS = frozenset({StepKind.DO, StepKind.JOB, StepKind.GATE, StepKind.WAIT, StepKind.CALL})
# What does not depend on what differs: other inputs nobody has approved, and another commit no job
# and no called pipeline has seen either.
KINDS_OTHER_INPUTS = KINDS - {StepKind.GATE}
KINDS_OTHER_CODE = frozenset({StepKind.DO, StepKind.WAIT})
ROLLBACK = "/rollback"


class UnknownStep(Exception):
    """The earlier Run has no such Step; `keys` are those that it has."""

    def __init__(self, key: str, keys: Sequence[str]) -> None:
        super().__init__(f"there is no step {key!r}; there are {', '.join(keys) or 'none'}")


def rerun_id(origin: str, attempt: int, *, shards: int) -> RunId:
    """The id of a further attempt: the same attempt asked for twice is one Run."""
    assert attempt > 1, "the first attempt is the Run itself"
    return run_id("rerun", origin, str(attempt), shards=shards)


def recalled(
    turns: Sequence[Turn], *, before: str = "", kinds: frozenset[StepKind] = KINDS
) -> list[Recalled]:
    """The results that a further attempt may take over: those of Steps that succeeded.

    Not what was rolled back since. `before`: only what had settled when that Step began; within
    its Turn that is taken to be so for Steps that were asked for before it. `kinds`: only such
    Steps. Raises UnknownStep.
    """
    prints: dict[tuple[StepKind, str], str] = {}
    found: dict[tuple[StepKind, str], Recalled] = {}
    is_there = not before
    for turn in turns:
        for command in turn.commands:
            if command.key == before:
                is_there = True
                break
            prints[command.kind, command.key] = command.fingerprint
        for result in turn.results:
            name = (result.kind, result.key)
            if _is_worth_it(result) and name in prints:
                found[name] = Recalled(
                    kind=result.kind,
                    key=result.key,
                    fingerprint=prints[name],
                    attempt=result.attempt,
                    value=result.value,
                )
        if before and is_there:
            break
    if not is_there:
        raise UnknownStep(before, list(dict.fromkeys(key for _, key in prints)))
    undone = {c.key for turn in turns for c in turn.commands if c.kind is StepKind.ROLLBACK}
    kept = (one for one in found.values() if one.kind in kinds)
    return [one for one in kept if not _is_undone(one.key, undone)]


def _is_worth_it(result: Result) -> bool:
    """A sensitive value is computed again: what begins a Run is shown to people."""
    is_kept = result.state is StepState.SUCCEEDED and result.kind in KINDS
    return is_kept and not result.sensitive


def _is_undone(key: str, rollbacks: set[str]) -> bool:
    """Whether this Step was rolled back, or was a part of such a rollback."""
    return key + ROLLBACK in rollbacks or any(key.startswith(f"{one}/") for one in rollbacks)
