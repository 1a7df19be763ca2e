"""Forks: a new Run from one that is over, with other inputs or code. The old History is only read.

What is taken over stands in the new Run's first input, as with a rerun: it depends on the old one
for nothing. What it may be is decided by what differs (`pipelines/rerun.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from staunch.entered import WrongInput

from ci_host.engine.asked_again import check_begun
from ci_host.engine.people import PersonRefused, check_sendable
from ci_host.engine.reruns import Wish, check_size, ended, taken_over
from ci_host.engine.run_inputs import entered
from ci_host.ports import HistoryStore
from pipelines.bundle import PipelineEntry
from pipelines.commands import StepKind
from pipelines.events import Fork, RunStarted, unless_normal
from pipelines.failure import Failure
from pipelines.ids import RunId, run_id
from pipelines.job import Source
from pipelines.priority import Priority
from pipelines.rerun import KINDS, KINDS_OTHER_CODE, KINDS_OTHER_INPUTS


@dataclass(frozen=True, slots=True)
class ForkWish:
    """What is to differ. `inputs` replace those of the same name; `key`: the same twice is one.

    `from_step`: take over what succeeded before this Step; empty: nothing. `priority` None: as it
    was. `asked`: the key as its sender has it, who gets no answer to another wish.
    """

    key: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    from_step: str = ""
    priority: Priority | None = None
    asked: str = ""


@dataclass(frozen=True, slots=True)
class OtherCode:
    """The code of another commit; `source` holds that commit for the new Run.

    `fault`: what the host found wrong in what the pipeline declares.
    """

    source: Source
    bundle: str
    fault: Failure | None = None


@dataclass(frozen=True, slots=True)
class Forked:
    """The new Run."""

    run: RunId
    recalled: int


class Forks:
    """Over the Histories. `shards` is how many there are today."""

    def __init__(self, history: HistoryStore, shards: int) -> None:
        self._history = history
        self._shards = shards

    def run_of(self, of: RunId, key: str) -> RunId:
        """The Run that a fork with this key is."""
        return run_id("fork", of, key, shards=self._shards)

    async def fork(
        self,
        of: RunId,
        wish: ForkWish,
        by: str,
        entry: PipelineEntry | None,
        code: OtherCode | None = None,
    ) -> Forked:
        """Begin it; `entry` is what the pipeline says of itself in the code that is to run.

        Without `code` that is the old Run's own. Raises PersonRefused: not over, no such step,
        inputs that do not fit, too much; and KeyTaken.
        """
        check_sendable("the inputs", dict(wish.inputs))
        stored = await self._history.read(of)
        started = ended(of, stored)
        inputs = _inputs(of, started.inputs, wish.inputs, entry, is_own=code is None)
        kinds = _kept_kinds(started, inputs, code)
        kept = taken_over(stored, Wish(from_step=wish.from_step), kinds)
        first = msgspec.structs.replace(
            started if code is None else _at(started, code),
            run=self.run_of(of, wish.key),
            inputs=inputs,
            fork=Fork(of=of, by=by, from_step=wish.from_step),
            recalled=kept,
            rerun=None,
            continues=None,
            # Whoever called the old Run has its answer.
            parent=None,
            shards=self._shards,
            priority=unless_normal(wish.priority or started.level),
            wait=msgspec.UNSET,
        )
        check_size(first)
        is_new = await self._history.create(RunId(first.run), first)
        if wish.asked and not is_new:
            before = await self._history.started(RunId(first.run))
            check_begun(wish.asked, before or first, first)
        return Forked(RunId(first.run), len(kept))


def _at(started: RunStarted, code: OtherCode) -> RunStarted:
    """As it began, at another commit; what is said of the old commit alone is left out."""
    event = msgspec.structs.replace(
        started.event, commit=code.source.commit, before="", message="", forced=False
    )
    return msgspec.structs.replace(
        started, event=event, source=code.source, bundle=code.bundle, fault=code.fault
    )


def _kept_kinds(started: RunStarted, inputs: object, code: OtherCode | None) -> frozenset[StepKind]:
    if code is not None and code.source.commit != started.event.commit:
        return KINDS_OTHER_CODE
    return KINDS if (inputs or {}) == (started.inputs or {}) else KINDS_OTHER_INPUTS


def _inputs(
    of: RunId,
    before: object,
    wanted: Mapping[str, Any],
    entry: PipelineEntry | None,
    *,
    is_own: bool,
) -> object:
    if not wanted and is_own:
        return before
    if entry is None:
        raise PersonRefused(
            409,
            f"run {of} never came to load its code, so nobody knows which inputs it takes; start"
            " its pipeline with `staunch start`",
        )
    known = before if isinstance(before, dict) else {}
    if entry.asks is None and not wanted:
        return before
    try:
        return entered(entry, {**known, **wanted})
    except WrongInput as wrong:
        raise PersonRefused(422, str(wrong)) from wrong
