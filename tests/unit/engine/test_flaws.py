"""The flaws that a naive form of the protocol has, each with the test that would find it.

The letters are those of docs/guarantees.md. F1 (effects lost between append and acknowledgement) is
in test_crashes.py, what is loaded (F7, F8, F9, F12) in test_flaws_of_loading.py, the timers' part
of F4 in the history stores' contract, the claims in the runner's tests, and what only a server can
show (F3, F5, F14) in tests/contract/test_nats_rules.py.
"""

import asyncio
from pathlib import Path

import pytest

from ci_host.engine.actors import Actors, EngineLimits
from ci_host.ports import Conflict, StoredHistory, StoredInput, WakeUp
from pipelines.events import CancelRequested
from pipelines.ids import RunId, run_id, shard_of
from pipelines.job import Outcome
from tests.engine.plans import ONE_JOB, TWO_SIGNALS, go
from tests.engine.world import (
    Engine,
    MemoryWorld,
    finished,
    memory_world,
    output_of,
    turns_of,
    until,
    waiting,
)

pytestmark = pytest.mark.anyio


class TestF2InputsAreReadFromTheHistory:
    """A delivery is only a wake-up: what was delivered, and in which order, decides nothing."""

    async def deliver_only_the_second(self, world: MemoryWorld) -> RunId:
        run = await world.begin(TWO_SIGNALS)
        await waiting(world, run)
        tell, wakes = world.history.wakes.tell, world.history.wakes
        wakes.tell = lambda *_: None  # type: ignore[method-assign] the first is with a dead engine
        first = await world.history.append_input(run, go(1))
        wakes.owed[first] = WakeUp(run, first, redelivered=False, token=first)
        wakes.tell = tell  # type: ignore[method-assign]
        await world.history.append_input(run, go(2))
        return run

    async def test_an_input_whose_delivery_is_late_is_not_skipped(self, tmp_path: Path) -> None:
        async with memory_world(tmp_path) as world:
            run = await self.deliver_only_the_second(world)
            assert output_of(await world.ended(run)) == [1, 2]

    async def test_trusting_deliveries_skips_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = Actors._inputs

        async def delivered_only(self: Actors, live: object, newest: int) -> list[StoredInput]:
            found = await real(self, live, newest)  # type: ignore[arg-type]
            return [given for given in found if given.sequence == newest] or found

        async with memory_world(tmp_path) as world:
            monkeypatch.setattr(Actors, "_inputs", delivered_only)
            run = await self.deliver_only_the_second(world)
            await until(lambda: len(world.history.wakes.owed) <= 1)
            stored = await world.history.read(run)
            consumed = [s for kept in stored.turns for s in kept.turn.consumed]
            assert len(consumed) < len(stored.inputs), "the naive form must be found out"


class TestTheFirstTurnNeedsNoLook:
    """Nothing can come before what began a Run: its wake-up brings it."""

    async def test_the_run_is_not_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with memory_world(tmp_path) as world:
            read, seen = world.history.read, list[RunId]()

            async def reading(run: RunId) -> StoredHistory:
                seen.append(run)
                return await read(run)

            assert world.engine is not None
            await world.engine.kill()
            world.start(limits=EngineLimits())
            monkeypatch.setattr(world.history, "read", reading)
            await waiting(world, await world.begin(TWO_SIGNALS))
            assert seen == []

    async def test_a_turn_that_another_engine_made_meanwhile_is_found(self, tmp_path: Path) -> None:
        async with memory_world(tmp_path) as world:
            run = await world.begin(TWO_SIGNALS)
            await waiting(world, run)
            assert world.engine is not None
            await world.engine.kill()
            world.start()
            world.history.wakes.tell(run, (await world.history.read(run)).inputs[0])
            await waiting(world, run)
            assert len(await turns_of(world.history, run)) == 1
            for payload in (1, 2):
                await world.history.append_input(run, go(payload))
            assert output_of(await world.ended(run)) == [1, 2]


class TestOneServerOfAClusterMayLagBehind:
    """What a server does not have yet is not taken for something that does not exist."""

    async def test_an_input_is_not_let_go_of_because_its_run_is_not_seen_yet(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with memory_world(tmp_path) as world:
            run = await world.begin(TWO_SIGNALS)
            await waiting(world, run)
            await world.restart()
            read, lagged = world.history.read, list[RunId]()

            async def lag_once(run: RunId) -> StoredHistory:
                if not lagged:
                    lagged.append(run)
                    return StoredHistory()
                return await read(run)

            monkeypatch.setattr(world.history, "read", lag_once)
            for payload in (1, 2):
                await world.history.append_input(run, go(payload))
            assert output_of(await world.ended(run)) == [1, 2]
            assert lagged == [run]


class TestF3AConflictIsALookNotAnError:
    async def test_a_turn_whose_answer_was_lost_is_found_done(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with memory_world(tmp_path) as world:
            append = world.history.append_turn
            lost: list[int] = []

            async def lose_the_first(run: RunId, turn: object, *, after: int) -> int:
                sequence = await append(run, turn, after=after)  # type: ignore[arg-type]
                if not lost:
                    lost.append(sequence)
                    raise Conflict("wrong last sequence")
                return sequence

            monkeypatch.setattr(world.history, "append_turn", lose_the_first)
            run = await world.begin("async def run(event, step):\n    return 7\n")
            assert output_of(await world.ended(run)) == 7
            assert len(await turns_of(world.history, run)) == 1


class TestF4IdentityIsInTheBody:
    async def test_a_repeated_report_of_a_job_counts_once(self, tmp_path: Path) -> None:
        async with memory_world(tmp_path) as world:
            run = await world.begin(ONE_JOB)
            await until(lambda: world.jobs.offers)
            await world.history.append_input(run, finished(run, "build"))
            await world.history.append_input(run, finished(run, "build", outcome=Outcome.FAILED))
            await world.settled()
            await world.history.append_input(run, finished(run, "build", outcome=Outcome.LOST))
            await world.history.append_input(run, go(1))
            assert output_of(await world.ended(run)) == 0

    async def test_a_signal_sent_twice_is_one_signal(self, tmp_path: Path) -> None:
        async with memory_world(tmp_path) as world:
            run = await world.begin(TWO_SIGNALS)
            await world.history.append_input(run, go("a", "same"))
            await world.history.append_input(run, go("a", "same"))
            await world.settled()
            await world.history.append_input(run, go("b", "other"))
            assert output_of(await world.ended(run)) == ["a", "b"]


class TestF6NothingIsHeldToWait:
    async def test_runs_that_wait_owe_nothing(self, tmp_path: Path) -> None:
        async with memory_world(tmp_path) as world:
            runs = [await world.begin(TWO_SIGNALS, str(number)) for number in range(40)]
            for run in runs:
                await waiting(world, run)
            assert world.history.wakes.owed == {}


class TestF11TheShardIsPartOfTheId:
    def test_a_run_keeps_its_shard_however_many_there_are_later(self) -> None:
        run = run_id("a", "b", shards=4)
        assert shard_of(run) == int(run[0])
        assert 0 <= shard_of(run) < 4

    @pytest.mark.parametrize("text", ["", "x", "abc-1", "1", "1-", "-1", "1-a b"])
    def test_what_is_no_run_id_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="no run id"):
            shard_of(RunId(text))


class TestF13TimeIsTheStreams:
    async def test_a_fired_timer_is_true_even_if_the_clock_went_back(self, tmp_path: Path) -> None:
        async with memory_world(tmp_path) as world:
            run = await world.begin(
                "async def run(event, step):\n    await step.sleep('rest', 60)\n    return 1\n"
            )
            due = await until(world.history.next_due)
            world.history.now = due - 30
            world.history._records[run].armed = None
            from pipelines.events import TimerFired

            await world.history.append_input(run, TimerFired(due=due))
            last = await world.ended(run)
            assert output_of(last) == 1
            assert last.now >= due

    async def test_a_runs_time_never_goes_back(self, tmp_path: Path) -> None:
        async with memory_world(tmp_path) as world:
            run = await world.begin(TWO_SIGNALS)
            await waiting(world, run)
            world.history.now -= 500
            await world.history.append_input(run, go(1))
            await world.history.append_input(run, go(2))
            await world.ended(run)
            times = [turn.now for turn in await turns_of(world.history, run)]
            assert times == sorted(times)

    async def test_a_result_after_its_deadline_finds_the_timeout_fired(
        self, tmp_path: Path
    ) -> None:
        async with memory_world(tmp_path) as world:
            run = await world.begin(
                "import asyncio\n"
                "async def run(event, step):\n"
                "    try:\n"
                "        async with asyncio.timeout(10):\n"
                "            await step.wait_for_event('go')\n"
                "    except TimeoutError:\n"
                "        return 'too late'\n"
                "    return 'in time'\n"
            )
            await waiting(world, run)
            # The timer is due but its message is late: the signal's own time decides.
            world.history.now += 11
            await world.history.append_input(run, go(1))
            assert output_of(await world.ended(run)) == "too late"


class TestF15ARunHasOneTimer:
    """Two engines make two Turns, and the first sets its timer after the second unset its own."""

    async def play(self, world: MemoryWorld, monkeypatch: pytest.MonkeyPatch) -> float | None:
        arm, second = world.history.arm, []

        async def late(run: RunId, due: float) -> None:
            if not second:
                assert world.engine is not None
                world.engine.task.cancel()
                folder = world.folder / "second"
                folder.mkdir()
                ports = (world.history, world.history.wakes, world.jobs, world.bundles)
                second.append(Engine(*ports, folder, "second"))
                await world.history.append_input(run, CancelRequested(id="c", by="ada"))
                await world.ended(run)
                await until(lambda: len(world.history.wakes.owed) == 1)
            await arm(run, due)

        monkeypatch.setattr(world.history, "arm", late)
        run = await world.begin("async def run(event, step):\n    await step.sleep('s', '1h')\n")
        await world.settled()
        await second[0].kill()
        return (await world.history.read(run)).armed

    async def test_who_sets_it_late_looks_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with memory_world(tmp_path) as world:
            assert await self.play(world, monkeypatch) is None

    async def test_without_looking_again_it_is_not_what_the_newest_turn_wants(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def blind(_self: Actors, _live: object) -> None:
            return

        monkeypatch.setattr(Actors, "_check_newest", blind)
        async with memory_world(tmp_path) as world:
            assert await self.play(world, monkeypatch) is not None


async def test_an_engine_error_is_tried_again_and_at_last_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with memory_world(tmp_path) as world:
        publish = world.jobs.publish
        calls: list[int] = []

        async def broken(spec: object) -> None:
            calls.append(1)
            raise RuntimeError("a bug of ours")

        monkeypatch.setattr(world.jobs, "publish", broken)
        run = await world.begin(ONE_JOB)
        await until(lambda: len(calls) >= 2)
        monkeypatch.setattr(world.jobs, "publish", publish)
        await until(lambda: world.jobs.offers)
        assert world.jobs.offers[0].key == "build"
        await asyncio.sleep(0)
        assert run
