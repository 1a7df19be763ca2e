"""The ways to keep a waiting Run's Tenant: all decide the same, and what would not is named."""

from pathlib import Path

import pytest

from ci_host.engine.actors import EngineLimits
from ci_host.settings import Hibernate
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.events import SignalSent
from pipelines.ids import RunId
from pipelines.run import RunState
from pipelines.turn import Turn
from tests.engine.world import MemoryWorld, output_of, turns_of, until

pytestmark = pytest.mark.anyio

THREE_SIGNALS = """
async def run(event, step):
    return [await step.wait_for_event("go") for _ in range(3)]
"""

# Whether this list is empty depends on whether the function ran in this life of the Tenant.
FORGETFUL = """
seen = []

async def run(event, step):
    await step.do("note", lambda: seen.append(1))
    await step.wait_for_event("go")
    if seen:
        return await step.do("remembered", lambda: "remembered")
    return await step.do("forgotten", lambda: "forgotten")
"""


class CountingHost(TenantHost):
    """A sandbox that counts how many Tenants it was asked for."""

    loads = 0

    def load(self, *given, **named):
        self.loads += 1
        return super().load(*given, **named)


async def played(folder: Path, source: str, signals: int, hibernate: Hibernate):
    """The Run's last Turn, all of its Turns, and how many Tenants it took."""
    folder.mkdir(exist_ok=True)
    world, sandbox = MemoryWorld(folder), CountingHost(NativeImage())
    engine = world.start(sandbox=sandbox, limits=EngineLimits(hibernate=hibernate))
    try:
        run = await world.begin(source)
        for number in range(signals):
            await until(lambda n=number: took(world, run, n + 1))
            signal = SignalSent(id=f"{number}", name="go", payload=number)
            await world.history.append_input(run, signal)
        return await world.ended(run), await turns_of(world.history, run), sandbox.loads
    finally:
        await engine.kill()


async def took(world: MemoryWorld, run: RunId, count: int) -> bool:
    return len(await turns_of(world.history, run)) >= count


def decisions(turns: list[Turn]) -> list[tuple[str, RunState]]:
    return [(turn.digest, turn.state) for turn in turns]


@pytest.mark.parametrize(
    ("hibernate", "loads"), [(Hibernate.IDLE, 1), (Hibernate.ALWAYS, 4), (Hibernate.VERIFY, 5)]
)
async def test_every_way_to_keep_a_tenant_decides_the_same(
    tmp_path: Path, hibernate: Hibernate, loads: int
) -> None:
    end, turns, counted = await played(tmp_path, THREE_SIGNALS, 3, hibernate)
    _, others, _ = await played(tmp_path / "other", THREE_SIGNALS, 3, Hibernate.IDLE)
    assert output_of(end) == [0, 1, 2]
    assert decisions(turns) == decisions(others)
    # One for the Run; or one for each Turn; or one for the Run and one to verify each Turn.
    assert counted == loads


async def test_a_plan_that_would_not_decide_the_same_after_a_replay_is_named_before_it_counts(
    tmp_path: Path,
) -> None:
    end, turns, _ = await played(tmp_path, FORGETFUL, 1, Hibernate.VERIFY)
    assert end.end is not None
    assert end.end.error is not None
    assert (end.end.state, end.end.error.type) == (RunState.FAILED, "Unrepeatable")
    assert "turn 2 decides do 'remembered'" in end.end.error.message
    assert "after a replay it would decide do 'forgotten'" in end.end.error.message
    assert "return it from the function instead" in end.end.error.message
    assert [c.key for turn in turns for c in turn.commands] == ["note", "go"]


async def test_without_verification_the_same_plan_depends_on_how_it_was_kept(
    tmp_path: Path,
) -> None:
    kept, _, _ = await played(tmp_path, FORGETFUL, 1, Hibernate.IDLE)
    replayed, _, _ = await played(tmp_path / "other", FORGETFUL, 1, Hibernate.ALWAYS)
    assert (output_of(kept), output_of(replayed)) == ("remembered", "forgotten")
