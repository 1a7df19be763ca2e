"""Which runs' jobs may name an environment: the whole table, and who is behind a run."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.memory.line import MemoryLine
from ci_host.engine.dispatcher import Dispatcher
from ci_host.engine.environment_rules import EnvironmentRules, why_not
from ci_host.line_ports import EnvironmentRule, Ticket
from pipelines.event import Event, EventKind
from pipelines.events import Fork, JobFinished, Parent, RunStarted
from pipelines.ids import RunId, StepKey, job_id, run_id
from pipelines.job import HOST, Outcome, Source
from pipelines.priority import Priority
from pipelines.trust import Tier, tier_of
from tests.engine.crashes import Life
from tests.engine.secret_world import FORK
from tests.engine.world import until

REPO = "git/a"
MAIN = Event(kind=EventKind.PUSH, ref="refs/heads/main", commit="1" * 40)
TAG = Event(kind=EventKind.TAG, ref="refs/tags/v1", commit="1" * 40)
OTHER = msgspec.structs.replace(MAIN, ref="refs/heads/other")
BY_HAND = msgspec.structs.replace(MAIN, kind=EventKind.MANUAL)
STRANGE = msgspec.structs.replace(MAIN, pull_request=FORK)
RULE = EnvironmentRule(repo=REPO, environment="production", refs=["main", "refs/tags/v*"])
LAX = msgspec.structs.replace(RULE, by_hand=True)


@pytest.mark.parametrize(
    ("rule", "event", "is_forked", "why"),
    [
        (RULE, MAIN, False, ""),
        (RULE, TAG, False, ""),
        (RULE, msgspec.structs.replace(MAIN, kind=EventKind.SCHEDULE), False, ""),
        (RULE, OTHER, False, "is of refs/heads/other; run it from one of those"),
        (RULE, msgspec.structs.replace(MAIN, ref="refs/heads/main2"), False, "refs/heads/main2"),
        (RULE, msgspec.structs.replace(MAIN, ref="main"), False, "is of main;"),
        (RULE, msgspec.structs.replace(MAIN, ref=""), False, "is of no ref"),
        (RULE, msgspec.structs.replace(MAIN, ref="refs/heads/v1"), False, "refs/heads/v1"),
        (RULE, STRANGE, False, "another repository's changes"),
        (LAX, STRANGE, False, "another repository's changes"),
        (RULE, BY_HAND, False, "chose the commit of this run by hand"),
        (RULE, MAIN, True, "chose the commit of this run by hand"),
        (LAX, BY_HAND, False, ""),
        (LAX, MAIN, True, ""),
        (LAX, OTHER, True, "is of refs/heads/other"),
    ],
)
def test_a_job_may_name_an_environment_where_its_rule_says_so(
    rule: EnvironmentRule, event: Event, is_forked: bool, why: str
) -> None:
    said = why_not(rule, event, tier_of(event), is_forked=is_forked)
    assert bool(said) == bool(why)
    assert why in said
    assert not said or "environment production is only for main, refs/tags/v*" in said


@given(st.lists(st.text(max_size=8), min_size=1), st.text(max_size=20), st.booleans())
def test_no_globs_let_a_strangers_change_through(refs: list[str], ref: str, by_hand: bool) -> None:
    rule = msgspec.structs.replace(RULE, refs=refs, by_hand=by_hand)
    event = msgspec.structs.replace(STRANGE, ref=f"refs/heads/{ref}")
    assert why_not(rule, event, tier_of(event), is_forked=False)


def test_a_rule_that_was_removed_and_one_of_another_repository_are_none() -> None:
    removed = msgspec.structs.replace(RULE, environment="old", refs=None)
    rules = EnvironmentRules([RULE, removed])
    assert rules.find(REPO, "production") == RULE
    assert rules.find(REPO, "old") is None
    assert rules.find(REPO, "") is None
    assert rules.find("git/b", "production") is None


class World:
    """Jobs of runs of many kinds, offered to a line."""

    def __init__(self) -> None:
        self.line = MemoryLine()
        self.history = MemoryHistory()
        self.runs: dict[str, RunId] = {}

    async def run(self, name: str, event: Event = MAIN, **fields: object) -> RunId:
        """Begin it, and offer its job, which names the environment."""
        run = self.runs[name] = run_id("test", name, shards=1)
        started = RunStarted(
            run=run,
            repo=REPO,
            repo_name="a",
            connection="git",
            pipeline="pipeline",
            file=".staunch/pipeline.py",
            bundle="0" * 64,
            source=Source(mirror="/m", commit=event.commit),
            event=event,
        )
        await self.history.create(run, msgspec.structs.replace(started, **fields))
        self.line.offer(self.ticket(name))
        return run

    def ticket(self, name: str) -> Ticket:
        return Ticket(
            job=job_id(self.runs[name], StepKey("deploy"), 1),
            key="deploy",
            pool="default",
            level=Priority.NORMAL,
            repo=REPO,
            repo_name="a",
            place=0,
            tier=Tier.TRUSTED,
            environment="production",
        )

    def dispatch(self, life: Life | None = None) -> asyncio.Task[None]:
        life = life or Life(None, after=False)
        dispatcher = Dispatcher(self.line, life.port(self.history), now=lambda: 1.0)
        return asyncio.create_task(dispatcher.serve(lambda _: asyncio.sleep(0)))

    async def outcomes(self) -> dict[str, set[Outcome]]:
        found: dict[str, set[Outcome]] = {}
        for name, run in self.runs.items():
            for stored in await self.history.inputs_after(run, 0):
                if isinstance(stored.input, JobFinished):
                    found.setdefault(name, set()).add(stored.input.outcome)
        return found


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _sort(world: World, life: Life | None = None) -> None:
    """Runs of many kinds, with an environment's rule, and a dispatcher that may die once."""
    world.line.serve({"default": 20})
    world.line.rule(RULE)
    fork = Fork(of="0-of", by="grace")
    await world.run("pushed")
    await world.run("elsewhere", OTHER)
    await world.run("by hand", BY_HAND)
    forked = await world.run("forked", fork=fork)
    called = await world.run("child of forked", parent=Parent(run=forked, key="call"))
    await world.run("grandchild of forked", parent=Parent(run=called, key="call"))
    await world.run("child", parent=Parent(run=world.runs["pushed"], key="call"))
    await world.run("orphan", parent=Parent(run=run_id("test", "gone", shards=1), key="call"))
    first = world.dispatch(life)
    if life is not None:
        await until(lambda: life.over.is_set() or not world.line.offers)
        await _end(first)
        first = world.dispatch()
    await until(lambda: not world.line.offers)
    await _end(first)


LET_THROUGH = {"pushed", "child"}


@pytest.mark.anyio
async def test_a_dispatcher_that_dies_anywhere_releases_no_job_that_may_not_name_it() -> None:
    counting = Life(None, after=False)
    await _sort(World(), counting)
    assert counting.count >= 8
    for at in range(1, counting.count + 1):
        for after in (False, True):
            world = World()
            await _sort(world, Life(at, after=after))
            released = {one.job for one in world.line.jobs.values()}
            assert released == {world.ticket(name).job for name in LET_THROUGH}, (at, after)
            refused = world.runs.keys() - LET_THROUGH
            assert await world.outcomes() == {name: {Outcome.REFUSED} for name in refused}


@pytest.mark.anyio
async def test_a_rule_takes_back_what_no_runner_has_begun_and_leaves_the_rest() -> None:
    world = World()
    world.line.serve({"default": 20})
    await world.run("begun", OTHER)
    await world.run("waiting", OTHER)
    await world.run("pushed")
    serving = world.dispatch()
    await until(lambda: len(world.line.jobs) == 3)
    world.line.claim(world.ticket("begun").job, "runner")
    world.line.rule(RULE)
    await until(lambda: len(world.line.jobs) == 2)
    await _end(serving)
    assert await world.outcomes() == {"waiting": {Outcome.REFUSED}}
    assert world.line.leases[world.ticket("waiting").job] == HOST
    assert world.line.leases[world.ticket("begun").job] == "runner"
