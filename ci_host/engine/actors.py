"""Actors: one for each Run that has something to do; they turn wake-ups into Turns.

Theory of operation. A wake-up is only a hint: the actor reads the Run's inputs from the History,
from the last consumed one on. It consumes them in one Turn, appends it, performs its effects, and
only then are the wake-ups done. A process can die between any two of these; then the wake-ups come
again, and whoever finds their inputs consumed repairs the effects before letting them go. Nothing
that waits is held here: whatever waits is in the History.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace

import structlog

from ci_host.engine.batches import batch
from ci_host.engine.crash_slots import CRASHES_MAX, CrashSlots
from ci_host.engine.live import Live, Loader, beginning
from ci_host.engine.sandbox_threads import SandboxThreads
from ci_host.engine.turns import TurnMaker
from ci_host.engine.wrecks import Wrecks
from ci_host.ports import (
    Conflict,
    Damaged,
    HistoryStore,
    Missing,
    StoredInput,
    Unavailable,
    WakeUp,
    WakeUps,
)
from ci_host.settings import Hibernate
from ci_host.tenant.sandbox import Sandbox, SandboxStarved, TenantFailed, WrongImage
from pipelines.events import KillRequested
from pipelines.failure import Failure, FailureKind
from pipelines.history import effects_of, repair_of
from pipelines.ids import RunId
from pipelines.run import FINAL
from pipelines.turn import ENDED_BY_HOST, Divergence, Turn, Unrepeatable

EXTEND_S = 10.0
RETRY_S = 1.0
# A Run on which the engine itself stumbles is ended with that reason, not tried for ever.
BREAKS_MAX = 5
BLANKS_AT_ONCE = 4

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """`warm_max`: loaded Runs kept while they wait, each for `warm_s`. `cold_max`: loads at once.

    Without the last, a burst of new Runs would hold an instance each, and all finish at the end.
    """

    hibernate: Hibernate = Hibernate.IDLE
    warm_max: int = 128
    warm_s: float = 30.0
    cold_max: int = 4


class Actors:
    """All the Runs of this engine. `serve` works for ever; `close` lets go of everything."""

    def __init__(
        self,
        history: HistoryStore,
        wakes: WakeUps,
        loader: Loader,
        turns: TurnMaker,
        threads: SandboxThreads,
        sandbox: Sandbox,
        slots: CrashSlots,
        limits: EngineLimits,
    ) -> None:
        self._history = history
        self._wakes = wakes
        self._loader = loader
        self._turns = turns
        self._wrecks = Wrecks(history, turns)
        self._threads = threads
        self._sandbox = sandbox
        self._slots = slots
        self._limits = limits
        self._admission = asyncio.Semaphore(limits.cold_max)
        # By the input that each is about: what comes again while it is queued is queued once.
        self._pending: dict[RunId, dict[int, WakeUp]] = {}
        self._held: dict[RunId, list[WakeUp]] = {}
        self._tasks: dict[RunId, asyncio.Task[None]] = {}
        self._warm: OrderedDict[RunId, Live] = OrderedDict()
        self._broke: dict[RunId, int] = {}
        self._refiller: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._refiller.set_result(None)

    async def serve(self) -> None:
        """Take wake-ups for ever."""
        keeper = asyncio.create_task(self._keep_owed())
        try:
            async for wake in self._wakes:
                _queue(self._pending.setdefault(wake.run, {}), wake)
                if wake.run not in self._tasks:
                    self._tasks[wake.run] = asyncio.create_task(self._act(wake.run))
        finally:
            keeper.cancel()

    async def _keep_owed(self) -> None:
        """Tell the store that what is queued here is not lost, or it would go to a neighbour.

        And let go of Runs that have waited for long: they wait on the disk as well.
        """
        while True:
            await asyncio.sleep(EXTEND_S)
            queued = [list(wakes.values()) for wakes in self._pending.values()]
            for wakes in [*queued, *self._held.values()]:
                for wake in wakes:
                    await self._wakes.extend(wake)
            before = asyncio.get_running_loop().time() - self._limits.warm_s
            for run in [run for run, live in self._warm.items() if live.used_at < before]:
                self._drop(run)

    async def _act(self, run: RunId) -> None:
        while queued := self._pending.pop(run, None):
            wakes = self._held[run] = list(queued.values())
            try:
                await self._work(run, wakes)
                self._broke.pop(run, None)
            except Unavailable as error:
                log.warning("turn_postponed", run=run, reason=str(error))
                await self._postpone(run, wakes)
            except Damaged as error:
                log.warning("history_damaged", run=run, reason=str(error))
                await self._stumble(run, wakes)
            except SandboxStarved as error:
                log.warning("turn_starved", run=run, reason=str(error))
                self._threads.run_alone(run)
                await self._stumble(run, wakes)
            except Exception:
                log.exception("turn_broke", run=run)
                await self._stumble(run, wakes)
            finally:
                del self._held[run]
        del self._tasks[run]
        if not self._tasks and self._refiller.done():
            self._refiller = asyncio.create_task(self._refill())

    async def _refill(self) -> None:
        """Boot blanks for the next Runs while nobody waits for a thread."""
        for _ in range(BLANKS_AT_ONCE):
            if self._tasks:
                return
            await self._threads.maintain(self._sandbox.refill)

    async def _stumble(self, run: RunId, wakes: list[WakeUp]) -> None:
        self._broke[run] = self._broke.get(run, 0) + 1
        await self._postpone(run, wakes)

    async def _postpone(self, run: RunId, wakes: list[WakeUp]) -> None:
        self._drop(run)
        for wake in wakes:
            await self._wakes.later(wake, RETRY_S)

    async def _work(self, run: RunId, wakes: list[WakeUp]) -> None:
        """Consume what there is for a Run, and settle the wake-ups. Conflicts start it over."""
        live = _born(wakes)
        while True:
            try:
                live = await self._consume(run, wakes, live)
                break
            except Conflict as conflict:
                log.info("turn_lost_the_race", run=run, reason=str(conflict))
                self._drop(run)
                live = None
            except Damaged:
                # A store that is being repaired has it again in a moment.
                if self._broke.get(run, 0) < BREAKS_MAX:
                    raise
                await self._wrecks.end(run, max(wake.sequence for wake in wakes))
                live = None
                break
        for wake in wakes:
            await self._wakes.done(wake)
        if live is not None:
            self._keep_warm(live)

    async def _consume(self, run: RunId, wakes: list[WakeUp], born: Live | None) -> Live | None:
        if any(wake.redelivered for wake in wakes):
            # Whoever had it first may have died after it touched the Run's timer: what is known
            # of that here is not to be relied on.
            self._drop(run)
        live = self._warm.pop(run, None)
        if live is not None:
            return await self._advance(live, wakes)
        async with self._admission:
            if born is not None:
                return await self._advance(born, wakes)
            last = await self._history.last_turn(run)
            if last is None or last.turn.state not in FINAL:
                live = await self._loader.view(run)
                if live is None:
                    log.warning("input_for_unknown_run", run=run)
                    return None
                if live.view.state not in FINAL:
                    return await self._advance(live, wakes)
                # Another engine ended it between the two looks.
                last = await self._history.last_turn(run)
                assert last is not None, "what has ended has a last Turn"
            # A late input, or an engine that died before the last effects. No replay for it.
            await self._settle_finished(run, last.turn, max(wake.sequence for wake in wakes))
            return None

    async def _settle_finished(self, run: RunId, last: Turn, newest: int) -> None:
        seen = await self._loader.view(run) if last.open.calls else None
        live = seen or await self._loader.ending(run, last)
        await self._turns.settle_finished(live, last, newest)

    async def _advance(self, live: Live, wakes: list[WakeUp]) -> Live | None:
        """As `_turn_until_still`; whatever goes wrong, the Tenant is let go of."""
        try:
            return await self._turn_until_still(live, wakes)
        except BaseException:
            self._close(live)
            raise

    async def _turn_until_still(self, live: Live, wakes: list[WakeUp]) -> Live | None:
        """Make Turns until no input is left; then repair if a wake-up was suspicious."""
        through = live.view.through
        newest = max(wake.sequence for wake in wakes)
        suspicious = any(wake.redelivered or wake.sequence <= through for wake in wakes)
        repair = live.view.number > 0 and not live.clean and suspicious
        turned = False
        while inputs := await self._inputs(live, newest):
            turned = True
            before, turn = live.view, await self._decide(live, inputs)
            await self._turns.commit(live, turn, inputs)
            effects = (
                repair_of(live.view, live.armed) if repair else effects_of(before, turn, live.armed)
            )
            await self._turns.begin_successor(live, turn)
            await self._turns.perform(live, effects, repair=repair)
            if effects.touches_timer:
                await self._check_newest(live)
            if self._limits.hibernate is Hibernate.ALWAYS:
                self._close(live)
            if live.view.state in FINAL:
                await self._turns.tell(live, turn, newest)
                self._close(live)
                return None
        if repair and not turned:
            await self._repair(live)
        live.clean = live.clean or repair or live.view.number == 1
        return live

    async def _repair(self, live: Live) -> None:
        """Without a winning append the view may be old: repair, then make sure that it was not."""
        await self._turns.perform(live, repair_of(live.view, live.armed), repair=True)
        await self._check_newest(live)

    async def _check_newest(self, live: Live) -> None:
        """A Run has one timer: who touched it late spoiled what a later Turn wants. Look again."""
        last = await self._history.last_turn(live.run)
        if last is not None and last.sequence != live.view.turn_sequence:
            raise Conflict(f"{live.run} moved on during its effects")

    async def _inputs(self, live: Live, newest: int) -> list[StoredInput]:
        """What the next Turn consumes, from the store and not from the delivery.

        A paused Run leaves its inputs where they are: their wake-ups are only hints, and the one of
        what ends the pause brings them all.
        """
        if live.fresh and (some := _next(live, live.fresh)):
            return some
        if newest <= live.view.through:
            return []
        inputs = await self._history.inputs_after(live.run, live.view.through)
        if not inputs or inputs[-1].sequence < newest:
            raise Unavailable(f"the store's answer for {live.run} does not reach {newest} yet")
        return _next(live, inputs)

    async def _decide(self, live: Live, inputs: list[StoredInput]) -> Turn:
        kill = next((i for g in inputs if isinstance(i := g.input, KillRequested)), None)
        if kill is not None:
            return self._turns.killing(live, inputs, kill)
        crashes = self._slots.crashes(live.run)
        if crashes >= CRASHES_MAX:
            return self._turns.failing(live, inputs, _poison(crashes))
        if self._broke.get(live.run, 0) >= BREAKS_MAX:
            return self._turns.failing(live, inputs, _broken())
        try:
            return await self._ask(live, inputs)
        except TenantFailed as error:
            return self._turns.failing(live, inputs, error.failure)
        except (Divergence, Unrepeatable, WrongImage, Missing) as error:
            failure = Failure(
                type=type(error).__name__, message=str(error), kind=FailureKind.REFUSED
            )
            return self._turns.failing(live, inputs, failure)

    async def _ask(self, live: Live, inputs: list[StoredInput]) -> Turn:
        if live.tenant is None:
            await self._loader.load(live)
        turn = await self._turns.decide(live, inputs)
        if self._limits.hibernate is Hibernate.VERIFY and turn.digest != ENDED_BY_HOST:
            await self._loader.verify(live, inputs, turn)
        return turn

    def _keep_warm(self, live: Live) -> None:
        if live.tenant is None:
            return
        live.used_at = asyncio.get_running_loop().time()
        self._warm[live.run] = live
        while len(self._warm) > self._limits.warm_max:
            _, oldest = self._warm.popitem(last=False)
            self._close(oldest)

    def _drop(self, run: RunId) -> None:
        live = self._warm.pop(run, None)
        if live is not None:
            self._close(live)

    def _close(self, live: Live) -> None:
        tenant, live.tenant = live.tenant, None
        if tenant is not None:
            self._threads.let_go(tenant.close)

    async def close(self) -> None:
        """Let go of every Tenant; what was owed comes again to the next engine."""
        out = [*self._tasks.values(), self._refiller]
        for task in out:
            task.cancel()
        await asyncio.gather(*out, return_exceptions=True)
        for live in self._warm.values():
            self._close(live)
        self._warm.clear()


def _queue(queued: dict[int, WakeUp], wake: WakeUp) -> None:
    """The newest of an input's wake-ups is the one to answer; what was known of it is kept."""
    before = queued.get(wake.sequence)
    redelivered = wake.redelivered or (before is not None and before.redelivered)
    queued[wake.sequence] = replace(wake, redelivered=redelivered)


def _born(wakes: list[WakeUp]) -> Live | None:
    """A Run that has just begun, if that is all there is to know of it.

    If somebody else was there before, its first Turn will be refused, and it is looked at anew.
    """
    if len(wakes) != 1 or wakes[0].redelivered or (first := wakes[0].first) is None:
        return None
    return beginning(wakes[0].run, first)


def _next(live: Live, inputs: list[StoredInput]) -> list[StoredInput]:
    """What the next Turn consumes of these; the rest of them is for the one after it."""
    count = batch(live.view, [given.input for given in inputs])
    live.fresh = inputs[count:] if count else []
    return inputs[:count]


def _broken() -> Failure:
    return Failure(
        type="EngineError",
        message=f"the engine failed {BREAKS_MAX} times on this run; its log has the tracebacks."
        " Please report them",
        kind=FailureKind.OURS,
    )


def _poison(crashes: int) -> Failure:
    return Failure(
        type="EngineCrashed",
        message=f"the engine died {crashes} times in a row while it ran this pipeline; the run is"
        " stopped so that others can go on. Please report it with the pipeline's code",
        kind=FailureKind.OURS,
    )
