"""The desk: what is asked for a job is done for its holder, once, whenever the host dies."""

import msgspec
import pytest

from ci_host.desk_ports import DeskRefused
from ci_host.ports import Unavailable
from pipelines.desk import BeatAsked, ClaimAsked, FinishAsked, JobAsked, SettleAsked, Settling
from pipelines.events import JobFinished
from pipelines.ids import RunId, StepKey, job_id
from pipelines.job import JobRequest, JobSpec, Lease, LeaseScope, Outcome, ShellStep, Source
from pipelines.trust import Tier
from tests.engine.secret_world import Killed, Life
from tests.unit.desk.world import World

pytestmark = pytest.mark.anyio

RUN = "0-0123456789abcdef0123"


def spec_of(pool: str = "far", key: str = "unit") -> JobSpec:
    """A job of the trusted tier."""
    return JobSpec(
        id=job_id(RunId(RUN), StepKey(key), 1),
        run=RUN,
        key=key,
        attempt=1,
        request=JobRequest(steps=[ShellStep(run="true")], pool=pool),
        source=Source(mirror="/m", commit="1" * 40),
        repo="acme/app",
        repo_id="gh/42",
        tier=Tier.TRUSTED,
        ref="refs/heads/main",
    )


def report_of(spec: JobSpec, outcome: Outcome = Outcome.SUCCEEDED) -> JobFinished:
    """What a runner says of it."""
    return JobFinished(
        job=spec.id,
        key=spec.key,
        attempt=1,
        outcome=outcome,
        message="",
        started_at=1.0,
        finished_at=2.0,
        runner="a lie",
    )


async def ends_of(world: World) -> list[JobFinished]:
    """What the Run has heard of its jobs' ends."""
    heard = await world.history.inputs_after(RunId(RUN), 0)
    return [one.input for one in heard if isinstance(one.input, JobFinished)]


async def test_the_lease_says_what_the_host_knows_and_not_what_the_runner_says() -> None:
    world = World()
    runner = await world.joined()
    _, lease = await world.claimed(runner, spec_of())
    assert (lease.runner, lease.started_at) == (runner, world.now)
    assert lease.scope == LeaseScope(
        pool="far",
        repo="gh/42",
        tier=Tier.TRUSTED,
        ref="refs/heads/main",
        source=Source(mirror="/m", commit="1" * 40),
    )


async def test_a_job_of_another_pool_or_another_name_is_not_claimed() -> None:
    world = World()
    runner, spec = await world.joined(), spec_of("near")
    token = world.bus.offer(spec)
    mine = world.bus.offer(spec_of())
    for given, job in ((token, spec.id), (mine, f"{RUN}.other.1"), ("", spec.id)):
        wish = Lease(job=job, key="unit", runner=runner, started_at=0.0)
        with pytest.raises(Unavailable):
            await world.desk().claim(runner, ClaimAsked(token=given, lease=wish))
    assert not world.bus.leases


async def test_a_report_of_ones_own_job_is_told_once_with_the_true_name() -> None:
    world = World()
    runner, spec = await world.joined(), spec_of()
    await world.claimed(runner, spec)
    asked = FinishAsked(job=spec.id, report=b"")
    await world.desk().finish(runner, asked, report_of(spec))
    assert [one.runner for one in await ends_of(world)] == [runner]
    other = msgspec.structs.replace(report_of(spec), attempt=2)
    with pytest.raises(DeskRefused, match="is of another one"):
        await world.desk().finish(runner, asked, other)


async def test_what_a_runner_says_of_anothers_job_is_dropped() -> None:
    world = World()
    honest, hostile, spec = await world.joined(), await world.joined(), spec_of()
    token, _ = await world.claimed(honest, spec)
    await world.desk().finish(hostile, FinishAsked(job=spec.id, report=b""), report_of(spec))
    for how in (Settling.DONE, Settling.HOLD):
        await world.desk().settle(hostile, SettleAsked(token=token, job=spec.id, how=how))
    with pytest.raises(DeskRefused, match="does not hold"):
        await world.desk().log_end(hostile, JobAsked(job=spec.id))
    assert await ends_of(world) == []
    assert world.bus.settled == []
    assert token in world.bus.queue


async def test_a_job_that_nobody_claimed_is_not_over() -> None:
    world = World()
    runner, spec = await world.joined(), spec_of()
    token = world.bus.offer(spec)
    with pytest.raises(DeskRefused, match="claimed by nobody"):
        await world.desk().settle(runner, SettleAsked(token=token, job=spec.id, how=Settling.DONE))
    assert token in world.bus.queue


@pytest.mark.parametrize(("silent_s", "is_lost"), [(14.9, False), (15.0, True)])
async def test_a_silent_holder_is_given_up_by_the_hosts_own_measure(
    silent_s: float, is_lost: bool
) -> None:
    world = World()
    gone, other, spec = await world.joined(), await world.joined(), spec_of()
    token, _ = await world.claimed(gone, spec)
    world.now += 100.0
    await world.bus.beat(gone, "far", BeatAsked(slots=1, version="1"))
    world.now += silent_s
    await world.desk().settle(other, SettleAsked(token=token, job=spec.id, how=Settling.DONE))
    ends = [(one.outcome, one.runner) for one in await ends_of(world)]
    assert ends == ([(Outcome.LOST, gone)] if is_lost else [])
    assert (token in world.bus.queue) is not is_lost
    assert (spec.id in world.bus.wishes) is is_lost


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("ends_at", range(1, 9))
async def test_a_host_that_dies_while_a_job_is_given_up_leaves_it_to_be_given_up_again(
    ends_at: int, after: bool
) -> None:
    world = World()
    gone, other, spec = await world.joined(), await world.joined(), spec_of()
    token, _ = await world.claimed(gone, spec)
    world.now += 100.0
    asked = SettleAsked(token=token, job=spec.id, how=Settling.DONE)
    try:
        await world.desk(Life(ends_at, after)).settle(other, asked)
    except Killed:
        # Off the queue, it must have been told; still there, it is delivered again.
        assert token in world.bus.queue or await ends_of(world)
        await world.desk().settle(other, asked)
    assert {one.outcome for one in await ends_of(world)} == {Outcome.LOST}
    assert spec.id in world.bus.wishes
    assert token not in world.bus.queue


async def test_a_runner_for_one_job_gets_one_and_is_spent_with_it() -> None:
    world = World()
    runner = await world.joined(is_single=True)
    first, second = spec_of(key="one"), spec_of(key="two")
    token, _ = await world.claimed(runner, first)
    with pytest.raises(DeskRefused, match="was there for job"):
        await world.claimed(runner, second)
    await world.desk().settle(runner, SettleAsked(token=token, job=first.id, how=Settling.DONE))
    await world.registrations.apply()
    assert not world.accounts.let_in


async def test_a_runner_that_is_drained_claims_nothing() -> None:
    world = World()
    runner = await world.joined()
    await world.registrations.drain(runner, "ada", is_draining=True)
    with pytest.raises(Unavailable, match="drained"):
        await world.claimed(runner, spec_of())
