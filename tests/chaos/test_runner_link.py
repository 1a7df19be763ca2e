"""The bus goes away while jobs run; jobs go on, and every line arrives once."""

import pytest

from pipelines.job import Outcome
from tests.runner_world import make_spec, until, world

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.nats, pytest.mark.bwrap]


@pytest.fixture
async def bus():
    async with world() as made:
        yield made


async def first_lines(bus, spec, count: int):
    async def enough():
        return sum(chunk.text.count("\n") for chunk in await bus.chunks(spec)) >= count

    await until(enough, f"{count} lines")


def bounce(bus):
    bus.server.kill()
    bus.server.start()


async def test_a_server_killed_during_a_chatty_job_loses_and_repeats_no_line(bus):
    bus.agent()
    count = 3000
    spec = make_spec(None, f"for i in $(seq {count}); do echo line $i; sleep 0.001; done")
    await bus.submit(spec)
    for wanted in (100, 800, 1500):
        await first_lines(bus, spec, wanted)
        bounce(bus)
    report = await bus.report(spec)
    assert report.outcome is Outcome.SUCCEEDED
    lines = [line for line in (await bus.log(spec)).splitlines() if line.startswith("line ")]
    assert lines == [f"line {i}" for i in range(1, count + 1)]
    await bus.settled()
    assert len(await bus.reports(spec)) == 1


async def test_a_job_that_ends_while_the_server_is_away_is_reported_when_it_is_back(bus):
    bus.agent()
    spec = make_spec(None, "echo begun; sleep 0.5; exit 4")
    await bus.submit(spec)
    await first_lines(bus, spec, 2)
    bus.server.kill()
    done = bus.job_directory(spec) / "exit.json"
    await until(done.exists, "the end of the job")
    bus.server.start()
    assert (await bus.report(spec)).exit_code == 4
    await bus.settled()


async def test_an_idle_agent_takes_jobs_again_soon_after_the_server_is_back(bus):
    bus.agent()
    await until(lambda: '"agent up"' in bus.agent_log(), "the agent")
    bounce(bus)
    spec = make_spec(None, "true")
    await until(lambda: bus.client.is_connected, "our own connection")
    await bus.submit(spec)
    assert (await bus.report(spec)).outcome is Outcome.SUCCEEDED


async def test_an_agent_that_starts_before_the_server_waits_for_it(bus):
    bus.server.kill()
    bus.agent()
    bus.server.start()
    await until(lambda: '"agent up"' in bus.agent_log(), "the agent")


async def test_a_million_lines_arrive_complete_and_in_order(bus):
    bus.agent()
    count = 1_000_000
    spec = make_spec(None, f"seq -f 'line %.0f' {count}")
    await bus.submit(spec)
    report = await bus.report(spec, timeout_s=120)
    assert report.outcome is Outcome.SUCCEEDED
    log = await bus.log(spec)
    assert report.log_bytes == len(log.encode())
    lines = [line for line in log.splitlines() if line.startswith("line ")]
    assert lines == [f"line {i}" for i in range(1, count + 1)]


async def test_characters_that_arrive_in_pieces_are_stored_whole(bus):
    bus.agent()
    # Each byte of a four-byte character comes alone, slower than chunks are sent.
    pieces = "printf '\\360'; sleep 0.12; printf '\\237'; sleep 0.12; printf '\\216\\211'; "
    spec = make_spec(None, pieces * 3 + "printf '\\377 end'")
    await bus.submit(spec)
    await bus.report(spec)
    assert "\n🎉🎉🎉\ufffd end\n===" in await bus.log(spec)


async def test_control_characters_do_not_outgrow_a_message(bus):
    bus.agent()
    size = 3_000_000
    spec = make_spec(None, f"head -c {size} /dev/zero")
    await bus.submit(spec)
    report = await bus.report(spec)
    assert report.outcome is Outcome.SUCCEEDED
    assert (await bus.log(spec)).count("\0") == size
