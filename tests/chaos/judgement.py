"""Judgement: what must hold when every process has died many times, read from the histories."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.history import NatsHistory
from ci_host.ports import StoredHistory
from pipelines.codec import decode_input
from pipelines.events import JobFinished, RunStarted
from pipelines.ids import SHARDS_DEFAULT, RunId, StepKey, job_id
from pipelines.run import RunState
from tests.chaos.plans import OUTCOMES, OUTPUTS
from tests.demo.forge import Told


async def runs_on(bus: Bus) -> dict[RunId, RunStarted]:
    """Every Run that ever began, by its History."""
    found: dict[RunId, RunStarted] = {}
    for shard in range(SHARDS_DEFAULT):
        for stored in await bus.read(subjects.runs_stream(shard), f"run.{shard}.*.in"):
            value = decode_input(stored.body)
            if isinstance(value, RunStarted):
                run = subjects.run_of(stored.subject)
                assert run not in found, f"{run} began twice"
                found[run] = value
    return found


async def living_runs(history: NatsHistory, runs: dict[RunId, RunStarted]) -> list[RunId]:
    """Those that have not ended."""
    ends = {run: await history.last_turn(run) for run in runs}
    return [run for run, last in ends.items() if last is None or last.turn.end is None]


async def unsettled(bus: Bus) -> list[str]:
    """What the queues still hold: jobs, and inputs that no engine has let go of."""
    jobs = await bus.js.stream_info(subjects.JOBS)
    held = [f"{jobs.state.messages} jobs"] if jobs.state.messages else []
    for shard in range(SHARDS_DEFAULT):
        engine = await bus.js.consumer_info(subjects.runs_stream(shard), "engine")
        if engine.num_pending or engine.num_ack_pending:
            held.append(f"{engine.num_pending}+{engine.num_ack_pending} inputs of shard {shard}")
    return held


def flaws_of(started: RunStarted, stored: StoredHistory, effects: Path) -> Iterator[str]:
    """Everything that is wrong with one finished Run."""
    turns = [kept.turn for kept in stored.turns]
    end = turns[-1].end
    wanted = OUTPUTS[started.pipeline]
    if end is None or end.state is not RunState.SUCCEEDED or end.output != wanted:
        yield f"ended with {end}, not with {wanted!r}"
    if [turn.number for turn in turns] != list(range(1, len(turns) + 1)):
        yield f"its turns are {[turn.number for turn in turns]}"
    consumed = [sequence for turn in turns for sequence in turn.consumed]
    there = [given.sequence for given in stored.inputs if given.sequence <= turns[-1].through]
    if consumed != there:
        yield f"it consumed {consumed} of {there}"
    if stored.armed is not None:
        yield f"a timer is left, due at {stored.armed}"
    results = Counter((r.key, r.attempt) for turn in turns for r in turn.results)
    yield from (f"{key} has {count} results" for key, count in results.items() if count > 1)
    yield from _flaws_of_jobs(started, stored, effects)


def _flaws_of_jobs(started: RunStarted, stored: StoredHistory, effects: Path) -> Iterator[str]:
    reports = [given.input for given in stored.inputs if isinstance(given.input, JobFinished)]
    told = {(report.key, report.attempt): report for report in reports}
    seen = {key: str(report.outcome) for key, report in told.items()}
    if seen != OUTCOMES[started.pipeline]:
        yield f"its jobs were reported as {[(k, r.outcome, r.message) for k, r in told.items()]}"
    if any(told[report.key, report.attempt].outcome != report.outcome for report in reports):
        yield f"reports contradict each other: {reports}"
    for (key, attempt), outcome in OUTCOMES[started.pipeline].items():
        path = effects / job_id(RunId(started.run), StepKey(key), attempt)
        lines = len(path.read_text().splitlines()) if path.exists() else 0
        # A job that was cancelled may have begun or not.
        if lines != 1 and not (outcome == "cancelled" and lines == 0):
            yield f"attempt {attempt} of {key} took effect {lines} times"


def flaws_of_statuses(run: RunId, told: list[Told]) -> Iterator[str]:
    """The run's own context: pending, and then its end.

    A repeat of either is allowed; and of both, in order: a bus that is killed forgets which of the
    last were told, and they are told again.
    """
    states = [t.state for t in told if t.target_url.endswith(run) and t.context.count("/") == 1]
    order = [state for i, state in enumerate(states) if i == 0 or states[i - 1] != state]
    if not order or order != ["pending", "success"] * (len(order) // 2):
        yield f"its statuses are {states}"
