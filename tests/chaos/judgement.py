"""Judgement: what must hold when every process has died many times, read from the histories."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.claims import Claims
from ci_host.adapters.nats.history import NatsHistory
from ci_host.ports import StoredHistory
from pipelines.codec import decode_input
from pipelines.events import JobFinished, RunStarted
from pipelines.ids import SHARDS_DEFAULT, RunId, StepKey, job_id
from pipelines.run import RunState
from tests.chaos.plans import OUTCOMES, OUTPUTS
from tests.demo.forge import Told


class Kind(StrEnum):
    """What a flaw comes to for whoever asked for the run."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    STUCK = "stuck"
    WRONG = "wrong"


@dataclass(frozen=True)
class Flaw:
    """One thing that is not as it must be. `whose`: a run, or what else it is about."""

    kind: Kind
    whose: str
    what: str


@dataclass
class Verdict:
    """What was found of so many runs."""

    runs: int
    flaws: list[Flaw]

    def __str__(self) -> str:
        """One line; each run counts once in a kind, however much is wrong with it."""
        whose = {kind: {flaw.whose for flaw in self.flaws if flaw.kind is kind} for kind in Kind}
        counts = ", ".join(f"{kind} {len(whose[kind])}" for kind in Kind)
        return f"runs {self.runs}, {counts}"


@dataclass(frozen=True)
class Begun:
    """Every Run that ever began, by its History, and what is wrong with how they began."""

    runs: dict[RunId, RunStarted]
    flaws: list[Flaw]

    @property
    def asked(self) -> dict[RunId, RunStarted]:
        """Those that somebody asked for: no run's children."""
        return {run: started for run, started in self.runs.items() if started.parent is None}


async def runs_on(bus: Bus) -> Begun:
    """Read every beginning there is."""
    found, claims = Begun({}, []), Claims(bus)
    for shard in range(SHARDS_DEFAULT):
        for stored in await bus.read(subjects.runs_stream(shard), f"run.{shard}.*.in"):
            body = await claims.body_of(stored.subject, stored.sequence, stored.body)
            value = decode_input(body)
            if isinstance(value, RunStarted):
                run = subjects.run_of(stored.subject)
                if run in found.runs:
                    found.flaws.append(Flaw(Kind.DUPLICATED, run, "it began twice"))
                found.runs[run] = value
    return found


async def living_runs(history: NatsHistory, runs: dict[RunId, RunStarted]) -> list[RunId]:
    """Those that have not ended."""
    ends = {run: await history.last_turn(run) for run in runs}
    return [run for run, last in ends.items() if last is None or last.turn.end is None]


async def unsettled(bus: Bus) -> list[str]:
    """What the queues still hold: jobs, and inputs that no engine has let go of."""
    held = []
    for stream in (subjects.OFFERS, subjects.JOBS):
        if count := (await bus.js.stream_info(stream)).state.messages:
            held.append(f"{count} messages of {stream}")
    for shard in range(SHARDS_DEFAULT):
        engine = await bus.js.consumer_info(subjects.runs_stream(shard), "engine")
        if engine.num_pending or engine.num_ack_pending:
            held.append(f"{engine.num_pending}+{engine.num_ack_pending} inputs of shard {shard}")
    return held


def flaws_of_answers(begun: Begun, answers: dict[str, str], wanted: int) -> Iterator[Flaw]:
    """Whether there is exactly the run that everybody who asked was promised."""
    for key, run in answers.items():
        if run not in begun.runs:
            yield Flaw(Kind.LOST, run, f"it was the answer to {key}, and there is no such run")
    for run, count in Counter(answers.values()).items():
        if count > 1:
            yield Flaw(Kind.LOST, run, f"{count} starts were answered with it")
    for number in range(len(begun.asked), wanted):
        yield Flaw(Kind.LOST, f"missing run {number}", "it never began")
    for number in range(wanted, len(begun.asked)):
        yield Flaw(Kind.DUPLICATED, f"extra run {number}", "nobody asked for so many")
    children = Counter(it.parent.run for it in begun.runs.values() if it.parent is not None)
    for run, started in begun.asked.items():
        count = children[run]
        if count != (started.pipeline == "family"):
            kind = Kind.DUPLICATED if count else Kind.LOST
            yield Flaw(kind, run, f"it has {count} children")


def flaws_of(started: RunStarted, stored: StoredHistory, effects: Path) -> Iterator[Flaw]:
    """Everything that is wrong with one finished Run."""
    turns = [kept.turn for kept in stored.turns]
    end = turns[-1].end
    wanted = OUTPUTS[started.pipeline]

    def wrong(what: str) -> Flaw:
        return Flaw(Kind.WRONG, started.run, f"{started.pipeline}: {what}")

    if end is None or end.state is not RunState.SUCCEEDED or end.output != wanted:
        yield wrong(f"ended with {end}, not with {wanted!r}")
    if [turn.number for turn in turns] != list(range(1, len(turns) + 1)):
        yield wrong(f"its turns are {[turn.number for turn in turns]}")
    consumed = [sequence for turn in turns for sequence in turn.consumed]
    there = [given.sequence for given in stored.inputs if given.sequence <= turns[-1].through]
    if consumed != there:
        yield wrong(f"it consumed {consumed} of {there}")
    if stored.armed is not None:
        yield wrong(f"a timer is left, due at {stored.armed}")
    results = Counter((r.key, r.attempt) for turn in turns for r in turn.results)
    for key, count in results.items():
        if count > 1:
            yield Flaw(Kind.DUPLICATED, started.run, f"{key} has {count} results")
    yield from _flaws_of_jobs(started, stored, effects)


def _flaws_of_jobs(started: RunStarted, stored: StoredHistory, effects: Path) -> Iterator[Flaw]:
    reports = [given.input for given in stored.inputs if isinstance(given.input, JobFinished)]
    told = {(report.key, report.attempt): report for report in reports}
    seen = {key: str(report.outcome) for key, report in told.items()}
    run, name = started.run, started.pipeline
    counts = {
        (key, attempt): _effects_of(effects, run, key, attempt) for key, attempt in OUTCOMES[name]
    }
    # One that was cancelled before anybody was asked to do it has nothing to report.
    wanted = {
        attempt: outcome
        for attempt, outcome in OUTCOMES[name].items()
        if attempt in seen or outcome != "cancelled" or counts[attempt]
    }
    if seen != wanted:
        ends = [(key, report.outcome, report.message) for key, report in told.items()]
        yield Flaw(Kind.WRONG, run, f"{name}: its jobs were reported as {ends}")
    if any(told[report.key, report.attempt].outcome != report.outcome for report in reports):
        yield Flaw(Kind.WRONG, run, f"{name}: reports contradict each other: {reports}")
    for (key, attempt), outcome in OUTCOMES[name].items():
        lines = counts[key, attempt]
        # A job that was cancelled may have begun or not.
        if lines != 1 and not (outcome == "cancelled" and lines == 0):
            kind = Kind.DUPLICATED if lines else Kind.LOST
            yield Flaw(kind, run, f"{name}: attempt {attempt} of {key} took effect {lines} times")


def _effects_of(effects: Path, run: str, key: str, attempt: int) -> int:
    """How often an attempt noted that it ran."""
    path = effects / job_id(RunId(run), StepKey(key), attempt)
    return len(path.read_text().splitlines()) if path.exists() else 0


def flaws_of_statuses(begun: Begun, told: list[Told]) -> Iterator[Flaw]:
    """Each run's own context: pending, and then its end. A child's caller tells for it.

    A repeat of either is allowed; and of both, in order: a bus that is killed forgets which of the
    last were told, and they are told again. What waited until there was an end need not be told.
    """
    by_run: dict[str, list[str]] = defaultdict(list)
    for it in told:
        if it.context.count("/") == 1:
            by_run[it.target_url.rpartition("/")[2]].append(it.state)
    for run in begun.asked:
        states = by_run[run]
        order = [state for i, state in enumerate(states) if i == 0 or states[i - 1] != state]
        if order[-1:] != ["success"] or not set(order) <= {"pending", "success"}:
            yield Flaw(Kind.WRONG, run, f"its statuses are {states}")
