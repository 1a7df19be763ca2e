"""Replay is identity: Turn by Turn, or all Turns in one call with what was recorded."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.job import Outcome
from tests.tenants import Play, approved, cancel, finished, plan, rejected, signal

BODY = """
log = []
async def flaky(n):
    await asyncio.sleep(n)
    if random.random() < 0.5:
        raise OSError("dice")
    return random.random()

def plain():
    if random.random() < 0.3:
        raise KeyError("dice")
    return random.getrandbits(30)

async def branch(name):
    inner = step.scope(name)
    for round in range(3):
        log.append([name, round, random.random()])
        try:
            log.append(await inner.do("plain", plain, retries=Retry(2, delay=1)))
            again = Retry(1, delay=5)
            log.append(await inner.do("flaky", flaky, round * 3, retries=again, timeout=4))
        except (OSError, KeyError, StepTimedOut) as error:
            log.append(repr(error))
        async with asyncio.timeout(20):
            await inner.job("work", run="x", retries=Retry(1, delay=2))
    return log

async with asyncio.TaskGroup() as group:
    group.create_task(branch("a"))
    group.create_task(branch("b"))
    group.create_task(step.wait_for_event("ready", timeout=60))
    group.create_task(step.gate("open", needed=2, timeout=90))
return log
"""

KEYS = [f"{scope}/work{count}" for scope in "ab" for count in ("", "#2", "#3")]

INPUTS = st.one_of(
    st.builds(
        finished,
        st.sampled_from(KEYS),
        st.sampled_from([Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.FAILED, Outcome.LOST]),
        st.integers(1, 2),
    ),
    st.builds(approved, st.just("open"), st.sampled_from(["ann", "bob"])),
    st.builds(rejected, st.just("open"), st.just("eve")),
    st.builds(signal, st.just("ready"), st.integers(), st.sampled_from(["s1", "s2"])),
    st.builds(cancel),
)

TURNS = st.lists(
    st.tuples(st.lists(INPUTS, max_size=3), st.sampled_from([0.0, 0.5, 1.0, 4.0, 25.0])),
    max_size=12,
)

HOST = TenantHost(NativeImage())


@given(turns=TURNS, seed=st.text("abc", max_size=3))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_replay_in_one_call_decides_what_was_decided_turn_by_turn(turns, seed):
    run = Play(HOST, plan(BODY), seed=seed)
    run.start()
    for inputs, after in turns:
        run.turn(*inputs, after=after)
    replayed = run.replayed()
    assert [o.digest for o in replayed] == [o.digest for _, o in run.made]
    assert [o.open for o in replayed] == [o.open for _, o in run.made]
    assert [o.wake_at for o in replayed] == [o.wake_at for _, o in run.made]
    assert [o.end for o in replayed] == [o.end for _, o in run.made]


@given(turns=TURNS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_input_delivered_twice_decides_the_same(turns):
    once, twice = Play(HOST, plan(BODY)), Play(HOST, plan(BODY))
    once.start()
    twice.start()
    for inputs, after in turns:
        first = once.turn(*inputs, after=after)
        second = twice.turn(*(one for each in inputs for one in (each, each)), after=after)
        assert first.digest == second.digest
        assert first.open == second.open


@given(turns=TURNS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_run_that_is_over_never_decides_again(turns):
    run = Play(HOST, plan(BODY))
    run.start()
    over = False
    for inputs, after in turns:
        outcome = run.turn(*inputs, after=after)
        if over:
            assert (outcome.commands, outcome.results, outcome.end) == ([], [], None)
            assert outcome.wake_at is None
            assert all(job.cancelling for job in outcome.open.jobs)
        over = over or outcome.end is not None
