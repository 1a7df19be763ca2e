"""Live: a Run that is loaded: its Tenant, what its History says, and how it came to be.

Loading is replay: every recorded Turn goes into the guest in one call, and each must decide again
what is recorded. Nothing is written here.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field

import msgspec

from ci_host.engine.sandbox_threads import SandboxThreads
from ci_host.ports import Bundles, HistoryStore, StoredHistory, StoredInput, Unavailable
from ci_host.tenant.sandbox import Sandbox, Sandboxes, Tenant, TimedInput, TurnInputs
from pipelines.bundle import Prepared
from pipelines.codec import CODEC
from pipelines.events import RunStarted
from pipelines.history import Armed, HistoryView, usage_after
from pipelines.ids import Digest, RunId
from pipelines.turn import Divergence, Pins, Turn, Unrepeatable, check_replay
from pipelines.usage import Usage

PREPARED_CACHED_MAX = 64


@dataclass(slots=True)
class Live:
    """One loaded Run. `fresh` holds inputs that the load has read already and no Turn consumed.

    `clean`: this process has repaired the Run's effects, or made every one of them itself.
    `used_at` is on the event loop's clock.
    """

    run: RunId
    started: RunStarted
    view: HistoryView
    armed: Armed
    pins: Pins | None = None
    tenant: Tenant | None = None
    fresh: list[StoredInput] = field(default_factory=list)
    stored: StoredHistory | None = None
    clean: bool = False
    used_at: float = 0.0


def beginning(run: RunId, first: StoredInput) -> Live:
    """A Run with nothing in its History but what began it."""
    assert isinstance(first.input, RunStarted)
    stored = StoredHistory([first], [], None)
    return Live(
        run, first.input, HistoryView.of(first.input), Armed(None), fresh=[first], stored=stored
    )


class Prepareds:
    """Prepared Bundles by content, kept in memory for the next Run and in the store for ever."""

    def __init__(self, bundles: Bundles, threads: SandboxThreads) -> None:
        self._bundles = bundles
        self._threads = threads
        self._cached: OrderedDict[tuple[str, str], Prepared] = OrderedDict()

    async def of(self, digest: Digest, sandbox: Sandbox, run: RunId) -> Prepared:
        """The Bundle as this sandbox's guest image compiles it. Raises TenantFailed, Missing."""
        image = Digest(sandbox.image_digest)
        key = (digest, image)
        if key in self._cached:
            self._cached.move_to_end(key)
            return self._cached[key]
        content = await self._bundles.get_prepared(digest, image)
        if content is None:
            bundle = await self._bundles.get(digest)
            made = await self._threads.run(run, lambda: sandbox.prepare(bundle))
            # Two engines may compile the same Bundle; both go on with the first one's bytes.
            content = await self._bundles.put_prepared(digest, image, msgspec.json.encode(made))
        prepared = msgspec.json.decode(content, type=Prepared)
        self._cached[key] = prepared
        if len(self._cached) > PREPARED_CACHED_MAX:
            self._cached.popitem(last=False)
        return prepared


class Loader:
    """From a Run's id to a Live one."""

    def __init__(
        self,
        history: HistoryStore,
        prepareds: Prepareds,
        sandboxes: Sandboxes,
        threads: SandboxThreads,
    ) -> None:
        self._history = history
        self._prepareds = prepareds
        self._sandboxes = sandboxes
        self._threads = threads

    async def view(self, run: RunId) -> Live | None:
        """The Run without its Tenant; None where nothing ever began it. Raises Unavailable."""
        stored = await self._history.read(run)
        if not stored.inputs:
            # Something woke it: one of a cluster's servers does not have it yet.
            raise Unavailable(f"the store's answer for {run} is empty")
        if not isinstance(stored.inputs[0].input, RunStarted):
            return None
        view = HistoryView.of(stored.inputs[0].input)
        for turn in stored.turns:
            view = view.after(turn.turn, turn.sequence)
        return Live(
            run,
            stored.inputs[0].input,
            view,
            Armed(stored.armed, is_sure=view.number == 0),
            view.pins,
            fresh=[given for given in stored.inputs if given.sequence > view.through],
            stored=stored,
        )

    async def ending(self, run: RunId, last: Turn) -> Live:
        """A Run that is over, for its last effects only: cheap, whatever its History holds.

        Raises Unavailable.
        """
        started = await self._history.started(run)
        if started is None:
            raise Unavailable(f"the store's answer for {run} does not reach its beginning yet")
        return Live(run, started, HistoryView(open=last.open, state=last.state), Armed())

    async def load(self, live: Live) -> None:
        """Give the Run its Tenant, as its recorded Turns left it; lets go of the record it read.

        Raises TenantFailed, SandboxStarved, Divergence, WrongImage, Missing, Unavailable.
        """
        stored = live.stored or await self._up_to(live)
        live.tenant = await self._enter(live, stored)
        live.stored = None

    async def verify(self, live: Live, inputs: list[StoredInput], turn: Turn) -> None:
        """Have a Turn that was just made decided again, by a Tenant that knows only the record.

        Raises Unrepeatable if it decides otherwise, and what `load` raises.
        """
        tenant = await self._enter(live, await self._up_to(live))
        given = TurnInputs(
            [timed(stored) for stored in inputs], turn.results, live.view.usage.history_bytes
        )
        try:
            (outcome,) = await self._threads.run(live.run, lambda: tenant.advance([given]))
        finally:
            tenant.close()
        try:
            check_replay(turn, outcome)
        except Divergence as found:
            raise Unrepeatable(turn.number, found.recorded, found.attempted) from found

    async def _up_to(self, live: Live) -> StoredHistory:
        """The record as far as this Live knows it: what others added since, an append finds out."""
        stored = await self._history.read(live.run)
        known = [turn for turn in stored.turns if turn.sequence <= live.view.turn_sequence]
        return StoredHistory(stored.inputs, known, stored.armed)

    async def _enter(self, live: Live, stored: StoredHistory) -> Tenant:
        sandbox = self._sandboxes.current
        if live.pins is not None and live.pins.image != sandbox.image_digest:
            wanted = live.pins.image
            sandbox = await self._threads.maintain(lambda: self._sandboxes.of_image(wanted))
        prepared = await self._prepareds.of(Digest(live.started.bundle), sandbox, live.run)
        pins = Pins(
            image=sandbox.image_digest,
            bundle=live.started.bundle,
            prepared=prepared.digest(),
            codec=CODEC,
            boot=sandbox.boot,
        )
        assert live.pins is None or live.pins == pins, "a Run is loaded as it was begun"
        turns = turns_to_replay(stored)

        def enter() -> Tenant:
            tenant = sandbox.load(
                prepared,
                live.started.file,
                run=live.run,
                seed=hashlib.sha256(live.run.encode()).hexdigest(),
                at=stored.inputs[0].at,
            )
            try:
                for recorded, outcome in zip(stored.turns, tenant.advance(turns), strict=True):
                    check_replay(recorded.turn, outcome)
            except BaseException:
                tenant.close()
                raise
            return tenant

        tenant = await self._threads.run(live.run, enter)
        live.pins = pins
        return tenant


def turns_to_replay(stored: StoredHistory) -> list[TurnInputs]:
    """The recorded Turns as the guest takes them; the consumed inputs must all be there."""
    by_sequence = {given.sequence: given for given in stored.inputs}
    turns, usage = [], Usage()
    for recorded in (one.turn for one in stored.turns):
        inputs = [timed(by_sequence[sequence]) for sequence in recorded.consumed]
        turns.append(TurnInputs(inputs, recorded.results, usage.history_bytes))
        usage = usage_after(usage, recorded)
    return turns


def timed(given: StoredInput) -> TimedInput:
    """An input as the guest takes it."""
    return TimedInput(given.sequence, given.at, given.input)
