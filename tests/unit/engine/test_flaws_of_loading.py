"""Flaws of loading: how many Tenants live, which are loaded in vain, who was inside at a death.

The letters are those of docs/guarantees.md; the other flaws are in test_flaws.py.
"""

import threading
from pathlib import Path

import pytest

from ci_host.engine.actors import EngineLimits
from ci_host.engine.crash_slots import CRASHES_MAX, CrashSlots
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from ci_host.tenant.sandbox import Tenant
from pipelines.bundle import Prepared
from pipelines.ids import RunId, run_id
from pipelines.run import RunState
from tests.engine.plans import TWO_SIGNALS, go
from tests.engine.world import MemoryWorld, memory_world, output_of, turns_of, until, waiting
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.anyio


class CountingSandbox(TenantHost):
    """A real in-process sandbox that counts its Tenants, and can be told to keep one waiting."""

    def __init__(self) -> None:
        super().__init__(NativeImage())
        self.loads = 0
        self.living = 0
        self.living_max = 0
        self.gate = threading.Event()
        self.gate.set()
        self.slow: RunId | None = None

    def load(self, prepared: Prepared, file: str, *, run: str, seed: str, at: float) -> Tenant:
        self.loads += 1
        self.living += 1
        self.living_max = max(self.living_max, self.living)
        if run == self.slow:
            self.gate.wait(PATIENCE_S)
        tenant = super().load(prepared, file, run=run, seed=seed, at=at)
        close, closed = tenant.close, []

        def closing() -> None:
            if not closed:
                closed.append(True)
                self.living -= 1
            close()

        tenant.close = closing  # type: ignore[method-assign]
        return tenant


class TestF7LoadsAreAdmitted:
    async def test_a_burst_of_runs_never_holds_more_tenants_than_allowed(
        self, tmp_path: Path
    ) -> None:
        world, sandbox = MemoryWorld(tmp_path), CountingSandbox()
        engine = world.start(sandbox=sandbox, limits=EngineLimits(warm_max=3, cold_max=2))
        try:
            runs = [await world.begin(TWO_SIGNALS, str(number)) for number in range(30)]
            for run in runs:
                await waiting(world, run)
            assert sandbox.loads == 30
            assert sandbox.living_max <= 3 + 2 + 1
        finally:
            await engine.kill()


class TestF8OneActorARun:
    async def test_a_slow_run_does_not_hold_up_the_others(self, tmp_path: Path) -> None:
        world, sandbox = MemoryWorld(tmp_path), CountingSandbox()
        engine = world.start(sandbox=sandbox)
        try:
            sandbox.slow = run_id("test", "slow", TWO_SIGNALS)
            sandbox.gate.clear()
            await world.begin(TWO_SIGNALS, "slow")
            quick = await world.begin("async def run(event, step):\n    return 1\n")
            assert output_of(await world.ended(quick)) == 1
            assert await world.history.last_turn(sandbox.slow) is None
        finally:
            sandbox.gate.set()
            await engine.kill()

    async def test_inputs_that_come_together_are_one_turn(self, tmp_path: Path) -> None:
        world, sandbox = MemoryWorld(tmp_path), CountingSandbox()
        engine = world.start(sandbox=sandbox)
        try:
            sandbox.slow = run_id("test", "slow", TWO_SIGNALS)
            sandbox.gate.clear()
            run = await world.begin(TWO_SIGNALS, "slow")
            await until(lambda: sandbox.loads)
            for number in (1, 2):
                await world.history.append_input(run, go(number))
            sandbox.gate.set()
            assert output_of(await world.ended(run)) == [1, 2]
            assert len(await turns_of(world.history, run)) <= 2
        finally:
            await engine.kill()


class TestF9WhoWasInside:
    def test_only_who_was_inside_is_suspected(self, tmp_path: Path) -> None:
        path = tmp_path / "slots"
        poison, innocent = RunId("0-poison"), RunId("0-innocent")
        slots = CrashSlots(path, 2)
        slots.enter(0, innocent)
        slots.leave(0, innocent)
        slots.enter(1, poison)
        after = CrashSlots(path, 2)
        assert (after.crashes(poison), after.crashes(innocent)) == (1, 0)

    def test_coming_back_once_clears_a_suspect(self, tmp_path: Path) -> None:
        path, run = tmp_path / "slots", RunId("0-run")
        CrashSlots(path, 1).enter(0, run)
        slots = CrashSlots(path, 1)
        slots.enter(0, run)
        slots.leave(0, run)
        assert CrashSlots(path, 1).crashes(run) == 0

    async def test_a_run_that_crashes_its_engine_again_and_again_is_failed_with_the_reason(
        self, tmp_path: Path
    ) -> None:
        run = run_id("test", "1", TWO_SIGNALS)
        for _ in range(CRASHES_MAX):
            CrashSlots(tmp_path / "engine.slots", 2).enter(0, run)
        async with memory_world(tmp_path) as world:
            assert await world.begin(TWO_SIGNALS) == run
            last = await world.ended(run)
            assert last.state is RunState.FAILED
            assert last.end is not None and last.end.error is not None
            assert "died 3 times" in last.end.error.message

    async def test_a_suspect_gets_its_chances_first(self, tmp_path: Path) -> None:
        plan = "async def run(event, step):\n    return 1\n"
        for _ in range(CRASHES_MAX - 1):
            CrashSlots(tmp_path / "engine.slots", 2).enter(0, run_id("test", "1", plan))
        async with memory_world(tmp_path) as world:
            assert output_of(await world.ended(await world.begin(plan))) == 1


class TestF12LateInputsAreCheap:
    async def test_an_input_for_a_finished_run_is_let_go_without_loading_it(
        self, tmp_path: Path
    ) -> None:
        world, sandbox = MemoryWorld(tmp_path), CountingSandbox()
        engine = world.start(sandbox=sandbox)
        try:
            run = await world.begin("async def run(event, step):\n    return 1\n")
            await world.ended(run)
            await world.settled()
            loads = sandbox.loads
            await world.history.append_input(run, go(1))
            await world.settled()
            assert sandbox.loads == loads
            assert len(await turns_of(world.history, run)) == 1
        finally:
            await engine.kill()

    async def test_an_input_for_an_unknown_run_is_let_go(self, tmp_path: Path) -> None:
        async with memory_world(tmp_path) as world:
            await world.history.append_input(run_id("nobody"), go(1))
            await world.settled()
