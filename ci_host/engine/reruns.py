"""Reruns: a further attempt of a Run that is over, with or without what it found out.

The old History is only read, and stays as it is, with its logs. The new Run carries in its first
input all that it takes over, so that it depends on the old one for nothing.
"""

from dataclasses import dataclass

import msgspec

from ci_host.access import Token
from ci_host.engine.asked_again import check_begun, key_of
from ci_host.engine.continuations import end_of_chain
from ci_host.engine.people import PersonRefused
from ci_host.ports import HistoryStore, StoredHistory
from pipelines.codec import encode_input
from pipelines.commands import StepKind
from pipelines.events import Recalled, Rerun, RunStarted, unless_normal
from pipelines.ids import RunId
from pipelines.priority import Priority
from pipelines.rerun import KINDS, UnknownStep, recalled, rerun_id
from pipelines.run import FINAL
from pipelines.shell import WAIT_S_MAX, Wait
from pipelines.trust import Tier

ATTEMPTS_MAX = 1_000
STARTED_BYTES_MAX = 32_000_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What the new attempt takes over: nothing, what succeeded, or that before one Step.

    `priority` None: it is that of the attempt before. `wait_s`: for how long its Jobs wait for a
    terminal after a step that failed.
    """

    failed_only: bool = False
    from_step: str = ""
    priority: Priority | None = None
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Begun:
    """The new attempt."""

    run: RunId
    attempt: int
    recalled: int


class Reruns:
    """Over the Histories. `shards` is how many there are today."""

    def __init__(self, history: HistoryStore, shards: int) -> None:
        self._history = history
        self._shards = shards

    async def rerun(self, run: RunId, wish: Wish, who: Token, *, asked: str = "") -> Begun:
        """Begin the next attempt. Raises PersonRefused: not over, no such step, too much.

        `asked` names a wish that may come again, and is then answered with the same attempt; and it
        is refused while another attempt goes on: who presses twice wants one. Raises KeyTaken: with
        that key something else was asked for.
        """
        stored = await self._history.read(run)
        started = ended(run, stored)
        kept = taken_over(stored, wish)
        wait = wait_of(started.tier, wish.wait_s, who)
        origin, attempt = run, 1
        if started.rerun is not None:
            origin, attempt = RunId(started.rerun.origin), started.rerun.attempt
        for number in range(attempt + 1, ATTEMPTS_MAX + 1):
            new = rerun_id(origin, number, shards=self._shards)
            first = msgspec.structs.replace(
                started,
                run=new,
                rerun=Rerun(of=run, origin=origin, attempt=number, by=who.name, asked=asked),
                recalled=kept,
                continues=None,
                # Whoever called the old Run has its answer, or is over as well.
                parent=None,
                shards=self._shards,
                priority=unless_normal(wish.priority or started.level),
                wait=wait,
            )
            check_size(first)
            is_new = await self._history.create(new, first)
            if is_new or (asked and await self._is_answer(new, first)):
                return Begun(new, number, len(kept))
        raise PersonRefused(409, f"run {origin} was tried {ATTEMPTS_MAX} times; start it anew")

    async def check_ended(self, run: RunId) -> None:
        """Raises PersonRefused: it is not over, or there is none."""
        ended(run, await self._history.read(run))

    async def _is_answer(self, run: RunId, wanted: RunStarted) -> bool:
        """Whether this attempt was begun by the same wish. Raises PersonRefused: it goes on."""
        assert wanted.rerun is not None, "it is a rerun"
        asked = wanted.rerun.asked
        started = await self._history.started(run)
        if started is not None and started.rerun is not None and started.rerun.asked == asked:
            if key := key_of(asked):
                check_begun(key, started, wanted)
            return True
        if await self._history.state(await end_of_chain(self._history, run)) not in FINAL:
            raise PersonRefused(409, f"another attempt of it, run {run}, is not over")
        return False


def wait_of(tier: Tier, wait_s: float, who: Token) -> Wait | msgspec.UnsetType:
    """The wish as a RunStarted keeps it. Raises PersonRefused: never for those not trusted."""
    if not wait_s:
        return msgspec.UNSET
    if tier is not Tier.TRUSTED:
        raise PersonRefused(
            409,
            "the jobs of a fork's changes do not wait for a terminal: what runs there is a"
            " stranger's; have the changes pushed to the repository itself",
        )
    return Wait(seconds=min(wait_s, WAIT_S_MAX), by=who.name)


def ended(run: RunId, stored: StoredHistory) -> RunStarted:
    """How a Run that is over began. Raises PersonRefused."""
    started = stored.inputs[0].input if stored.inputs else None
    if not isinstance(started, RunStarted):
        raise PersonRefused(404, f"there is no run {run}; `staunch runs` lists them")
    if not stored.turns or stored.turns[-1].turn.state not in FINAL:
        raise PersonRefused(409, f"run {run} is not over; cancel it, or wait for its end")
    return started


def taken_over(
    stored: StoredHistory, wish: Wish, kinds: frozenset[StepKind] = KINDS
) -> list[Recalled]:
    """What another Run may take over of this one. Raises PersonRefused: no such Step."""
    if not wish.failed_only and not wish.from_step:
        return []
    try:
        return recalled([kept.turn for kept in stored.turns], before=wish.from_step, kinds=kinds)
    except UnknownStep as error:
        raise PersonRefused(422, str(error)) from error


def check_size(first: RunStarted) -> None:
    """Raises PersonRefused if a Run cannot begin with so much."""
    size = len(encode_input(first))
    if size > STARTED_BYTES_MAX:
        raise PersonRefused(
            413,
            f"what would be taken over has {size:,} bytes, the limit is {STARTED_BYTES_MAX:,};"
            " name an earlier step with --from, or rerun all of it",
        )
