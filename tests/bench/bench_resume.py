"""Resuming: Runs with long histories, new tenants, a hundred thousand that wait."""

import asyncio
import random
import time

from ci_host.engine.actors import EngineLimits
from ci_host.running import read_state
from pipelines.events import GateAnswered, SignalSent
from pipelines.ids import RunId
from tests.bench import plans, report
from tests.bench.bench_installed import WARM_S, Bench, private_bytes

EVENTS = 10_000
STEPS = 500
ROUNDS = 9
TENANTS = 90
AT_ONCE = 64
# For each engine, more than it keeps loaded: not every one gets the same number.
CROWD = EngineLimits().warm_max + 60
MANY_PARKED = 100_000
WOKEN = 40
# What runs when nothing is parked yet, for a comparison on equal terms.
HOSTS = ("host", "engine")


async def histories(bench: Bench) -> None:
    """A signal to a Run with a long History that is not loaded, until its Turn is durable."""
    (long,) = await bench.create(plans.MANY_SIGNALS)
    (wide,) = await bench.create(plans.MANY_DO_AND_SIGNALS.format(count=STEPS))
    await bench.parked([long, wide])
    numbers = iter(range(EVENTS))

    async def some() -> None:
        for number in numbers:
            value = SignalSent(id=str(number), name="go", payload=number)
            await bench.history.append_input(long, value)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    turns = await _all_taken(bench, long)
    for identity, run, settings in (
        ("resume.events.10000", long, {"events": EVENTS, "turns": turns}),
        ("resume.steps.500", wide, {"steps": STEPS}),
    ):
        samples = [await _resumed(bench, run, number) for number in range(ROUNDS)]
        report.spread(identity, "ms", samples, **settings)
    for run in (long, wide):
        await bench.http.post(f"/api/v1/runs/{run}/cancel", json={})


async def _all_taken(bench: Bench, run: RunId) -> int:
    """Until a Run has consumed whatever it was sent; the number of its Turns."""
    while True:
        last = await bench.history.last_turn(run)
        assert last is not None and last.turn.end is None, last
        if not await bench.history.inputs_after(run, last.turn.through):
            return last.turn.number
        await asyncio.sleep(0.1)


async def _resumed(bench: Bench, run: RunId, number: int) -> float:
    """Milliseconds. As many others as an engine keeps have crowded it out before."""
    await _park(bench, CROWD * engines(bench))
    before = await bench.history.last_turn(run)
    assert before is not None
    async with bench.news.watching(run) as watch:
        began = time.perf_counter()
        value = SignalSent(id=f"again-{number}", name="go", payload=number)
        await bench.history.append_input(run, value)
        while True:
            last = await bench.history.last_turn(run)
            if last is not None and last.turn.number > before.turn.number:
                return (time.perf_counter() - began) * 1e3
            await watch.wait_news()


def engines(bench: Bench) -> int:
    """How many engine processes there are."""
    assert bench.state is not None
    return sum(name.startswith("engine") for name in bench.state.processes)


async def tenants(bench: Bench) -> None:
    """The creation of a Run of code that is prepared but in nobody's memory, until its first Turn
    is durable. There are more such tenants than the engine remembers, and each has its turn."""
    sources = [f"{plans.REALISTIC}\n# tenant {number}\n" for number in range(TENANTS)]
    samples = []
    for round_ in range(3):
        for source in sources:
            digest = await bench.stored(source)
            began = time.perf_counter()
            (run,) = await bench.begin(digest, 1)
            async with bench.news.watching(run) as watch:
                while await bench.history.last_turn(run) is None:
                    await watch.wait_news()
            samples += [(time.perf_counter() - began) * 1e3] if round_ else []
            await bench.http.post(f"/api/v1/runs/{run}/kill", json={})
            await asyncio.sleep(0.02)
    report.spread("tenant.start", "ms", samples, tenants=TENANTS, pipeline_lines=115)


async def many_parked(bench: Bench) -> None:
    """A hundred thousand Runs at a gate: what the processes grow by, the wake of some of them, and
    a restart among them. Takes ten minutes and more: only when asked for by its id."""
    await _park(bench, 1_000)
    await asyncio.sleep(WARM_S)
    before = {name: private_bytes(bench, name) for name in (*HOSTS, "nats-server")}
    runs = await _park(bench, MANY_PARKED)
    await bench.caught_up()
    await asyncio.sleep(WARM_S)
    grown = {name: (private_bytes(bench, name) - size) / 1e6 for name, size in before.items()}
    ours = sum(grown[name] for name in HOSTS)
    report.single("parked.many.growth", "MB", ours, runs=MANY_PARKED, **grown)
    dice = random.Random(1)
    samples = [await _woken(bench, run) for run in dice.sample(runs, WOKEN)]
    report.spread("parked.many.wake", "ms", samples, parked=MANY_PARKED)
    await bench.bus.close()
    bench.installation.kill()
    began = time.perf_counter()
    await asyncio.to_thread(bench.installation.start)
    ready = time.perf_counter() - began
    bench.state = read_state(bench.installation.data)
    await bench.open()
    woken = await _woken(bench, dice.choice(runs))
    report.single("parked.many.restart", "s", ready, parked=MANY_PARKED, first_wake_ms=woken)


async def _woken(bench: Bench, run: RunId) -> float:
    async with bench.news.watching(run) as watch:
        began = time.perf_counter()
        value = GateAnswered(id=run, key="deploy", approved=True, by="ada")
        await bench.history.append_input(run, value)
        while (last := await bench.history.last_turn(run)) is None or last.turn.end is None:
            await watch.wait_news()
        return (time.perf_counter() - began) * 1e3


async def _park(bench: Bench, count: int) -> list[RunId]:
    """So many Runs that wait at a gate; a window of them is under way at a time."""
    digest = await bench.stored(plans.GATE)
    runs: list[RunId] = []
    numbers = iter(range(count))

    async def some() -> None:
        for _ in numbers:
            (run,) = await bench.begin(digest, 1)
            while await bench.history.last_turn(run) is None:
                await asyncio.sleep(0.01)
            runs.append(run)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return runs
