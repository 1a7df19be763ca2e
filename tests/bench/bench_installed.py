"""What a real `staunch up` does: measured from outside, over HTTP and on the bus."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.stores import NatsBundles
from ci_host.api.news import News
from ci_host.running import read_state
from pipelines.bundle import Bundle
from pipelines.codec import decode_turn
from pipelines.events import GateAnswered, SignalSent
from pipelines.ids import RunId, run_id
from pipelines.run import FINAL
from tests.bench import plans, report
from tests.bench.bench_alone import FILE, started
from tests.bench.pushing import BenchRepo, signed
from tests.demo.installation import Installation

PARKED = 10_000
ACTIVE = 100
MANY_ACTIVE = 1_000
WARM_S = 50.0
PARKED_BEFORE = 1_000
STORING = ("engine", "nats-server")


class Bench:
    """A running installation, an HTTP client and a connection to its bus."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.folder = folder
        self.state = read_state(installation.data)
        assert self.state is not None
        token = (installation.data / "token").read_text().strip()
        self.http = httpx2.AsyncClient(
            base_url=self.state.url, headers={"Authorization": f"Bearer {token}"}, timeout=60
        )
        self.serial = 0

    async def open(self) -> None:
        """Connect to the bus."""
        assert self.state is not None
        self.bus: Bus = await connect(self.state.nats_url, name="bench")
        self.history = NatsHistory(self.bus, "bench")
        self.news = News(self.bus)
        await self.news.start()

    async def create(self, source: str, count: int = 1) -> list[RunId]:
        """Start Runs of a pipeline directly in their histories."""
        return await self.begin(await self.stored(source), count)

    async def stored(self, source: str) -> str:
        """The digest of a pipeline's Bundle, which is stored."""
        return await NatsBundles(self.bus).put(Bundle(files={FILE: source}))

    async def begin(self, digest: str, count: int) -> list[RunId]:
        """Start Runs of a stored Bundle."""

        async def one() -> RunId:
            self.serial += 1
            run = run_id("bench", str(self.serial), str(time.time()))
            first = msgspec.structs.replace(started(run), bundle=digest)
            await self.history.create(run, first)
            return run

        return await asyncio.gather(*(one() for _ in range(count)))

    async def over(self, run: RunId) -> None:
        """Until the Run is over, by hints and durable looks."""
        async with self.news.watching(run) as watch:
            while True:
                last = await self.history.last_turn(run)
                if last is not None and last.turn.state in FINAL:
                    assert last.turn.end is not None and last.turn.end.error is None, last.turn.end
                    return
                await watch.wait_news()

    async def caught_up(self) -> None:
        """Until the read model shows what has just happened on every shard: nothing is behind."""
        for run in await self.create(plans.ONE_DO, 20):
            while True:
                shown = await self.http.get(f"/api/v1/runs/{run}")
                if shown.status_code == 200 and shown.json()["state"] in FINAL:
                    break
                await asyncio.sleep(0.1)

    async def parked(self, runs: list[RunId]) -> None:
        """Until every Run has made its first Turn."""
        for run in runs:
            while await self.history.last_turn(run) is None:
                await asyncio.sleep(0.02)


async def timed(action: Callable[[], Awaitable[Any]]) -> float:
    """Seconds that an action took."""
    began = time.perf_counter()
    await action()
    return time.perf_counter() - began


async def intake(bench: Bench) -> None:
    """A signed webhook call until its 202."""
    repo = await BenchRepo.make(bench.installation, bench.folder / "intake", plans.ONE_DO)
    samples = []
    for number in range(600):
        headers, body = signed(repo, [("1" * 40, "0" * 40, f"refs/heads/gone-{number}")])
        began = time.perf_counter()
        answer = await bench.http.post(repo.path, content=body, headers=headers)
        samples.append((time.perf_counter() - began) * 1e3)
        assert answer.status_code == 202, answer.text
    report.spread("intake.accept", "ms", samples[100:], bytes=len(body))


async def push(bench: Bench) -> None:
    """A webhook call until the first command of the first job executes, by the job's own clock."""
    repo = await BenchRepo.make(bench.installation, bench.folder / "push", plans.STAMP)
    stamps = bench.folder / "stamps"
    samples = []
    for number in range(40):
        before, commit = repo.commit(f"change {number}")
        headers, body = signed(repo, [(before, commit, "refs/heads/main")])
        began = time.time()
        answer = await bench.http.post(repo.path, content=body, headers=headers)
        assert answer.status_code == 202, answer.text
        stamp = stamps / commit
        while not (stamp.exists() and stamp.read_text().strip()):
            await asyncio.sleep(0.002)
        samples.append((int(stamp.read_text()) / 1e9 - began) * 1e3)
    report.spread("push.first_command", "ms", samples[5:], isolation="bubblewrap")


async def create_complete(bench: Bench) -> None:
    """An API call that starts a pipeline with one step, until it is finished."""
    repo = await BenchRepo.make(bench.installation, bench.folder / "one", plans.ONE_DO)
    wish = {"repo": repo.name, "commit": repo.head, "ref": "refs/heads/main"}
    first = (await bench.http.post("/api/v1/runs", json=wish)).json()["runs"][0]
    await bench.http.get(f"/api/v1/runs/{first}/wait")
    samples = []
    for number in range(220):
        began = time.perf_counter()
        answer = await bench.http.post("/api/v1/runs", json={**wish, "key": f"k{number}"})
        run = answer.json()["runs"][0]
        over = (await bench.http.get(f"/api/v1/runs/{run}/wait")).json()
        samples.append((time.perf_counter() - began) * 1e3)
        assert over["state"] == "succeeded", over
    report.spread("run.create_complete", "ms", samples[20:])


async def steps(bench: Bench) -> None:
    """Sequential steps of one Run, and of many at once, from creation to the end."""
    for count in (100, 1000):
        source = plans.MANY_DO.format(count=count)
        await _one_run(bench, source)
        took = [await timed(lambda s=source: _one_run(bench, s)) for _ in range(15)]
        report.spread(f"step.do.{count}", "steps/s", [count / t for t in took], runs=1)
    source = plans.MANY_DO.format(count=10)
    await _one_run(bench, source)

    async def hundred() -> None:
        runs = await bench.create(source, 100)
        await asyncio.gather(*(bench.over(run) for run in runs))

    took = [await timed(hundred) for _ in range(3)]
    report.spread("step.do.100x10", "steps/s", [1000 / t for t in took], runs=100)


async def side_by_side(bench: Bench) -> None:
    """Fifty Runs of twenty steps: steps of `do`, and waits that each need an answer from outside.

    An effect is a round trip: the Turn that waits is durable, somebody sees it and answers, and the
    answer is durable too before the next Turn begins.
    """
    source = plans.MANY_DO.format(count=20)

    async def fifty() -> None:
        await asyncio.gather(*(bench.over(run) for run in await bench.create(source, 50)))

    async def fifty_answered() -> None:
        runs = await bench.create(plans.TWENTY_SIGNALS, 50)
        await asyncio.gather(*(_answer(bench, run) for run in runs))

    for name, action in (("step.do.50x20", fifty), ("step.effect.50x20", fifty_answered)):
        await action()
        took = [await timed(action) for _ in range(5)]
        report.spread(name, "steps/s", [1000 / t for t in took], runs=50)


async def _answer(bench: Bench, run: RunId) -> None:
    async with bench.news.watching(run) as watch:
        for number in range(20):
            while (last := await bench.history.last_turn(run)) is None or (
                not any(wait.key == f"s{number}" for wait in last.turn.open.waits)
            ):
                await watch.wait_news()
            name = f"s{number}"
            await bench.history.append_input(run, SignalSent(id=name, name=name, payload=number))
    await bench.over(run)


async def on_the_bus(bench: Bench) -> None:
    """A Run with one step, from its creation on the bus until its end is durable: no HTTP."""
    await _one_run(bench, plans.ONE_DO)
    samples = [await timed(lambda: _one_run(bench, plans.ONE_DO)) * 1e3 for _ in range(220)]
    report.spread("run.create_complete.bus", "ms", samples[20:])


async def _one_run(bench: Bench, source: str) -> None:
    (run,) = await bench.create(source)
    await bench.over(run)


async def signal(bench: Bench) -> None:
    """A signal to a waiting Run (in memory) until the Turn that it led to is durable."""
    samples = []
    for number in range(120):
        (run,) = await bench.create(plans.WAITING)
        await bench.parked([run])
        value = SignalSent(id=str(number), name="go", payload=1)
        began = time.perf_counter()
        await bench.history.append_input(run, value)
        await bench.over(run)
        samples.append((time.perf_counter() - began) * 1e3)
    report.spread("signal.resume", "ms", samples[20:], tenant="warm")


async def parked(bench: Bench) -> None:
    """Ten thousand Runs at a gate: what each costs in memory and on disk; then some are woken.

    Measured from the first thousand on: what the processes take once, for their first Runs, is not
    the cost of a Run. Each time the cache has let go of what waits.
    """
    await _park(bench, PARKED_BEFORE)
    await asyncio.sleep(WARM_S)
    before = {name: private_bytes(bench, name) for name in STORING}
    before_disk = disk_bytes(bench)
    runs = await _park(bench, PARKED)
    await asyncio.sleep(WARM_S)
    each = {name: (private_bytes(bench, name) - before[name]) / PARKED for name in STORING}
    report.single("parked.ram", "bytes/run", sum(each.values()), runs=PARKED, **each)
    disk = (disk_bytes(bench) - before_disk) / PARKED
    report.single("parked.disk", "bytes/run", disk, runs=PARKED)
    samples = []
    for run in runs[:40]:
        value = GateAnswered(id=run, key="deploy", approved=True, by="ada")
        await bench.history.append_input(run, value)
        samples.append(await timed(lambda r=run: bench.over(r)) * 1e3)
    report.spread("signal.resume.hibernated", "ms", samples, parked=PARKED)


async def _park(bench: Bench, count: int) -> list[RunId]:
    runs: list[RunId] = []
    while len(runs) < count:
        batch = await bench.create(plans.GATE, 200)
        await bench.parked(batch)
        runs += batch
    return runs


def private_bytes(bench: Bench, *roles: str) -> int:
    """Memory that only the processes of these roles have (all of them, if none is named)."""
    state = read_state(bench.installation.data)
    assert state is not None
    pids = {"supervisor": state.supervisor, **state.processes}
    total = 0
    for name, pid in pids.items():
        if roles and not name.startswith(roles):
            continue
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_"):
                total += int(line.split()[1]) * 1024
    return total


def disk_bytes(bench: Bench) -> int:
    """What the histories take on the disk: the blocks of the RUNS streams."""
    found = (bench.installation.data / "nats" / "js").rglob("RUNS_*/msgs/*.blk")
    return sum(path.stat().st_blocks * 512 for path in found)


async def logs(bench: Bench) -> None:
    """A job that writes as fast as it can, until its log is stored and its Run is over."""
    lines = 500_000
    repo = await BenchRepo.make(
        bench.installation, bench.folder / "talk", plans.TALK.format(lines=lines)
    )
    wish = {"repo": repo.name, "commit": repo.head, "ref": "refs/heads/main"}
    rates = []
    for number in range(3):
        key = {"key": f"talk{number}"}
        run = (await bench.http.post("/api/v1/runs", json={**wish, **key})).json()["runs"][0]
        while not (await bench.http.get(f"/api/v1/runs/{run}/wait")).json()["over"]:
            pass
        detail = (await bench.http.get(f"/api/v1/runs/{run}")).json()
        (attempt,) = detail["attempts"]
        end = detail["inputs"][-1]["at"]
        rates.append(attempt["log_bytes"] / 1e6 / (end - attempt["started_at"]))
    report.spread("log.throughput", "MB/s", rates, lines=lines, line_bytes=100)


async def idle(bench: Bench) -> None:
    """Everything that `staunch up` runs, with nothing to do."""
    await asyncio.sleep(5)
    before = cpu_seconds(bench)
    began = time.perf_counter()
    await asyncio.sleep(15)
    percent = (cpu_seconds(bench) - before) / (time.perf_counter() - began) * 100
    report.single("idle.memory", "MB", private_bytes(bench) / 1e6, cpu_percent_of_a_core=percent)


def cpu_seconds(bench: Bench) -> float:
    """Processor time of the installation so far."""
    state = read_state(bench.installation.data)
    assert state is not None
    total = 0
    for pid in [state.supervisor, *state.processes.values()]:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / 100


async def restart(bench: Bench) -> None:
    """Kill -9 of everything while a hundred Runs are active, until each has moved again."""
    await restarted(bench, "restart.resume", ACTIVE, tick_s=1.0)


async def restart_many(bench: Bench) -> None:
    """The same with a thousand. Each moves seldom enough that two cores keep up with all."""
    await restarted(bench, "restart.resume.1000", MANY_ACTIVE, tick_s=10.0)


async def restarted(bench: Bench, identity: str, count: int, *, tick_s: float) -> None:
    """Kill -9 of everything while so many Runs are active: how long the last of them waited.

    A Run waits from the kill on, or from when it was due to move if that was later.
    """
    digest = await bench.stored(plans.TICKING.format(seconds=tick_s))
    runs: list[RunId] = []
    for _ in range(count):
        # Spread, or all would be due at the same moment for ever.
        await asyncio.sleep(tick_s / count)
        runs += await bench.begin(digest, 1)
    await bench.parked(runs)
    await asyncio.sleep(tick_s)
    await bench.bus.close()
    killed = time.time()
    bench.installation.kill()
    await asyncio.to_thread(bench.installation.start)
    ready = time.time() - killed
    bench.state = read_state(bench.installation.data)
    await bench.open()
    waited = [await _waited(bench, run, killed) for run in runs]
    report.single(identity, "s", max(waited), runs=count, tick_s=tick_s, host_ready_s=ready)
    for run in runs:
        await bench.http.post(f"/api/v1/runs/{run}/cancel", json={})


async def _waited(bench: Bench, run: RunId, killed: float) -> float:
    """Seconds from the kill, or from its due time, to a Run's first Turn after the kill."""
    stream, subject = f"RUNS_{run[0]}", f"run.{run[0]}.{run}.turn"
    while True:
        due = killed
        for stored in await bench.bus.read(stream, subject):
            if stored.at > killed:
                return stored.at - max(killed, due)
            due = decode_turn(stored.body).wake_at or killed
        await asyncio.sleep(0.05)
