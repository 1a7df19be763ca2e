"""Stage: a Run of one plan on the real engine over memory ports, and everything that befalls it.

A Case is a plan, the acts that come to it one after another, and the end that it must come to.
"""

import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ci_host.access import Token
from ci_host.adapters.wasm.instance import WasmImage
from ci_host.engine.actors import EngineLimits
from ci_host.engine.people import Answer, People
from ci_host.settings import Hibernate
from ci_host.tenant.host import TenantHost
from pipelines.ids import RunId
from pipelines.job import Outcome
from pipelines.run import FINAL, RunState
from pipelines.turn import Turn
from tests.engine.world import HIBERNATE, Engine, MemoryWorld, finished, turns_of, until

ADA = Token(name="ada", digest="")


@dataclass
class Stage:
    """One Run in its world."""

    world: MemoryWorld
    run: RunId
    ids: int = 0

    @property
    def people(self) -> People:
        """Who acts from outside."""

        def new_id() -> str:
            self.ids += 1
            return f"id-{self.ids}"

        return People(self.world.history, now=lambda: self.world.history.now, new_id=new_id)

    async def last(self) -> Turn | None:
        """The newest Turn."""
        stored = await self.world.history.last_turn(self.run)
        return stored.turn if stored is not None else None

    async def quiet(self) -> None:
        """Until the Run has made a Turn and owes none."""
        await until(self.last)
        await self.world.settled()

    async def die(self) -> None:
        """The engine is killed and another begins, until nothing is owed."""
        await self.world.restart()
        await self.quiet()

    async def turns(self) -> list[Turn]:
        """All of them."""
        return await turns_of(self.world.history, self.run)

    def offered(self) -> list[tuple[str, int]]:
        """Which attempts of which Jobs were offered, in their order, repeats left out."""
        offers = [(o.key, o.attempt) for o in self.world.jobs.offers if o.run == self.run]
        return list(dict.fromkeys(offers))


class SandboxedWorld(MemoryWorld):
    """A world whose engines keep their plans in the real sandbox, in whichever life."""

    def __init__(self, folder: Path, image: WasmImage, keeps: Hibernate) -> None:
        super().__init__(folder)
        self.image = image
        self.limits = EngineLimits(hibernate=keeps)

    def start(self, **how: object) -> Engine:
        return super().start(sandbox=TenantHost(self.image), limits=self.limits, **how)


@asynccontextmanager
async def stages(
    folder: Path, image: WasmImage, keeps: Hibernate = HIBERNATE
) -> AsyncIterator[SandboxedWorld]:
    """A world with an engine that is at work, and how it keeps its plans."""
    world = SandboxedWorld(folder, image, keeps)
    world.start()
    try:
        yield world
    finally:
        assert world.engine is not None
        await world.engine.kill()


Act = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """What is played. `error` is the type and a part of the message of the Run's error.

    `early`: the acts come before the engine has seen the Run. `results` are the keys and states of
    all recorded results in their order; `jobs` the offered attempts. None: whatever they are.
    """

    body: str
    acts: tuple[Act, ...] = ()
    output: object = None
    error: tuple[str, str] | None = None
    state: RunState | None = None
    jobs: tuple[tuple[str, int], ...] | None = None
    results: tuple[str, ...] | None = None
    top: str = ""
    early: bool = False
    beside: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The plan's file."""
        head = "import asyncio\nfrom staunch import *\n"
        clock = "def now():\n    return asyncio.get_running_loop().time()\n"
        body = textwrap.indent(textwrap.dedent(self.body).strip(), "    ")
        top = textwrap.dedent(self.top)
        return f"{head}{clock}{top}\nasync def run(event, step):\n{body}\n"

    @property
    def end(self) -> RunState:
        """The state that it ends in."""
        if self.state is not None:
            return self.state
        return RunState.SUCCEEDED if self.error is None else RunState.FAILED


def report(key: str, outcome: Outcome = Outcome.SUCCEEDED, attempt: int = 1) -> Act:
    """A Runner reports a Job that was offered to it."""

    async def act(stage: Stage) -> None:
        await until(lambda: (key, attempt) in stage.offered())
        told = finished(stage.run, key, attempt, outcome)
        await stage.world.history.append_input(stage.run, told)

    return act


def report_below(key: str, outcome: Outcome = Outcome.SUCCEEDED) -> Act:
    """A Runner reports a Job of a Run that the Run has called."""

    async def act(stage: Stage) -> None:
        offers = stage.world.jobs.offers
        spec = await until(lambda: next((o for o in offers if o.key == key), None))
        assert spec.run != stage.run
        told = finished(spec.run, key, outcome=outcome)
        await stage.world.history.append_input(spec.run, told)

    return act


def send(name: str, payload: object = None, identity: str | None = None) -> Act:
    """Somebody sends a signal."""

    async def act(stage: Stage) -> None:
        await stage.people.signal(stage.run, name, payload, ADA, identity)

    return act


def approve(key: str) -> Act:
    """Somebody opens a Gate."""

    async def act(stage: Stage) -> None:
        await stage.people.answer_gate(stage.run, key, ADA, Answer(True, {}))

    return act


async def wake(stage: Stage) -> None:
    """The time of the armed wake-up comes."""
    due = await until(stage.world.history.next_due)
    await stage.world.history.move(due)


def later(seconds: float) -> Act:
    """Time passes, whether anything is due or not."""

    async def act(stage: Stage) -> None:
        await stage.world.history.move(stage.world.history.now + seconds)

    return act


async def cancel(stage: Stage) -> None:
    """Somebody cancels the Run."""
    await stage.people.cancel(stage.run, "", ADA)


async def kill(stage: Stage) -> None:
    """Somebody kills the Run."""
    await stage.people.kill(stage.run, "", ADA)


async def pause(stage: Stage) -> None:
    """Somebody pauses the Run, and it stands still."""
    await stage.people.pause(stage.run, "", ADA)
    await stage.quiet()
    await holds(RunState.PAUSED)(stage)


async def resume(stage: Stage) -> None:
    """Somebody lets it go on."""
    await stage.people.resume(stage.run, ADA)


def holds(state: RunState) -> Act:
    """Nothing happens; the Run is seen to be in this state."""

    async def act(stage: Stage) -> None:
        last = await stage.last()
        assert last is not None
        assert last.state is state, f"{last.state}, not {state}"

    return act


def not_offered(key: str) -> Act:
    """Nothing happens; this Job is seen not to have been asked for."""

    async def act(stage: Stage) -> None:
        assert key not in [asked for asked, _ in stage.offered()]

    return act


async def play(case: Case, stage: Stage, *, dies: bool = False) -> None:
    """Act by act to the end, and look whether it is the right one.

    `dies`: the engine is killed before the first act and after each of them.
    """
    if not case.early:
        await stage.quiet()
    if dies:
        await stage.die()
    for act in case.acts:
        await act(stage)
        if case.early:
            continue
        await stage.quiet()
        if dies:
            await stage.die()
    check(case, stage, await _over(stage))


async def _over(stage: Stage) -> list[Turn]:
    await stage.quiet()
    turns = await stage.turns()
    assert turns[-1].state in FINAL, f"it waits: {turns[-1].open}"
    return turns


def check(case: Case, stage: Stage, turns: list[Turn]) -> None:
    """The end, the results on the way to it, and the work that was asked for."""
    end = turns[-1].end
    assert end is not None
    said = (end.error.type, end.error.message) if end.error is not None else None
    assert turns[-1].state is case.end, said
    if case.error is not None:
        assert said is not None
        assert (said[0], case.error[1] in said[1]) == (case.error[0], True), said
    elif case.end is RunState.SUCCEEDED:
        assert end.output == case.output
    if case.jobs is not None:
        assert tuple(stage.offered()) == case.jobs
    if case.results is not None:
        results = [f"{r.key} {r.state}" for turn in turns for r in turn.results]
        assert tuple(results) == case.results
