"""Hand-played: a Runner and people on a real bus who do at once whatever a Run waits for."""

import time

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.stores import NatsBundles
from ci_host.ports import StoredHistory
from pipelines.events import GateAnswered, RunStarted, SignalSent
from pipelines.ids import JobId, RunId, run_id, shard_of
from pipelines.job import JobSpec, Lease
from tests.chaos.corpus import BESIDE, CORPUS
from tests.engine.world import begin, finished

SIGNAL = SignalSent(id="the-one", name="go", payload={"number": 21})


class HandPlayed:
    """Runs of the corpus on one shard's stream, and all that the world does for them."""

    def __init__(self, bus: Bus, shard: int) -> None:
        self._bus = bus
        self._shard = shard
        self.history = NatsHistory(bus, "by hand")
        self._bundles = NatsBundles(bus)
        self._reported: set[JobId] = set()
        self._answered: set[tuple[RunId, str]] = set()
        self._over: set[RunId] = set()

    async def begin(self, pipeline: str, number: int) -> RunId:
        """The run of this number; always on our shard."""
        names = (f"{pipeline} {number} {again}" for again in range(1_000))
        source = CORPUS[pipeline]
        name = next(n for n in names if shard_of(run_id("test", n, source)) == self._shard)
        return await begin(self.history, self._bundles, source, name, BESIDE)

    async def is_over(self) -> bool:
        """Do what is waited for; whether every Run has ended and its engine owes nothing."""
        for spec in await self.offers():
            if spec.id not in self._reported:
                self._reported.add(JobId(spec.id))
                await self._report(spec)
        for run in await self._runs() - self._over:
            await self._serve(run, await self.history.read(run))
        if await self._runs() - self._over:
            return False
        engine = await self._bus.js.consumer_info(subjects.runs_stream(self._shard), "engine")
        return not engine.num_pending and not engine.num_ack_pending

    async def offers(self) -> list[JobSpec]:
        """Every job that was ever offered. Nobody releases it here."""
        stored = await self._bus.read(subjects.OFFERS, "offer.>")
        return [msgspec.json.decode(one.body, type=JobSpec) for one in stored]

    async def family(self, run: RunId) -> list[StoredHistory]:
        """The History of a Run and those of its children."""
        histories = [await self.history.read(one) for one in sorted(await self._runs())]
        return [stored for stored in histories if run in _relatives(stored)]

    async def _runs(self) -> set[RunId]:
        stream = subjects.runs_stream(self._shard)
        stored = await self._bus.read(stream, f"run.{self._shard}.*.in")
        return {subjects.run_of(one.subject) for one in stored}

    async def _report(self, spec: JobSpec) -> None:
        lease = Lease(job=spec.id, key=spec.key, runner="by hand", started_at=time.time())
        await self._bus.put_once(subjects.lease(JobId(spec.id)), msgspec.json.encode(lease))
        run = RunId(spec.run)
        await self.history.append_input(run, finished(run, spec.key, spec.attempt))

    async def _serve(self, run: RunId, stored: StoredHistory) -> None:
        if not stored.turns:
            return
        last = stored.turns[-1].turn
        if last.end is not None:
            self._over.add(run)
        for gate in last.open.gates:
            if (run, gate.key) not in self._answered:
                self._answered.add((run, gate.key))
                answer = GateAnswered(id=gate.key, key=gate.key, approved=True, by="ada")
                await self.history.append_input(run, answer)
        for wait in last.open.waits:
            if wait.key == "go" and (run, wait.key) not in self._answered:
                self._answered.add((run, wait.key))
                await self.history.append_input(run, SIGNAL)


def _relatives(stored: StoredHistory) -> set[str]:
    started = stored.inputs[0].input
    assert isinstance(started, RunStarted)
    return {started.run, started.parent.run if started.parent is not None else ""}
