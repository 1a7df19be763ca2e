"""Schedules on a real installation: registered by a push, begun by the server's own alarm."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ci_host.adapters.nats.bus import connect
from ci_host.adapters.nats.timetables import NatsTimetables
from ci_host.running import read_state
from tests.demo.installation import until
from tests.e2e.installed import FILE, TIMEOUT_S, Installed, Registered, installed, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

# The nearest due time is always hours away: what is begun here is begun because it was armed.
TOP = "on.schedule('0 3 29 2 *', tz='Europe/Berlin', name='nightly', overlap='{overlap}')"
BODY = "return [event.kind, event.branch, event.schedule.name, event.schedule.due]"


def schedule_of(here: Installed, repo: Registered) -> dict[str, Any]:
    """The repository's only schedule, once it is there."""
    listed = until(
        "the schedule", lambda: here.get(f"/schedules?repo={repo.name}")["schedules"], TIMEOUT_S
    )
    (one,) = listed
    return dict(one)


def on_store(here: Installed, act: Callable[[NatsTimetables], Awaitable[None]]) -> None:
    """Do something to the timetables behind the back of the engine."""

    async def work() -> None:
        state = read_state(here.installation.data)
        assert state is not None
        bus = await connect(state.nats_url, name="test")
        try:
            await act(NatsTimetables(bus))
        finally:
            await bus.close()

    asyncio.run(work())


def fall_due(here: Installed, repo: str, due: float) -> None:
    """As if the schedule were one of this minute of every hour that had been waiting for `due`:
    the next due time is not while this test goes on."""

    async def act(store: NatsTimetables) -> None:
        revision, table = await store.read(repo)
        (entry,) = table.entries
        schedule = msgspec.structs.replace(entry.schedule, cron=f"{int(due) // 60 % 60} * * * *")
        entry = msgspec.structs.replace(entry, schedule=schedule, after=due - 1, next=due)
        await store.write(table.with_entry(entry), after=revision)
        await store.arm(repo, due)

    on_store(here, act)


def begun(here: Installed, commit: str) -> dict[str, Any]:
    """The first run of a schedule on this commit, once it is over."""
    return here.ended(here.runs(commit)[-1]["id"])


def test_a_push_registers_a_schedule_and_its_alarm_begins_a_run(
    here: Installed, repo: Registered
) -> None:
    commit = repo.pushed({FILE: plan(BODY, TOP.format(overlap="skip"))})
    one = schedule_of(here, repo)
    assert (one["name"], one["tz"], one["paused"]) == ("nightly", "Europe/Berlin", None)
    assert one["next"] > time.time() and one["commit"] == commit
    minute = time.time() // 60 * 60
    fall_due(here, one["repo"], minute)
    run = begun(here, commit)
    assert run["output"] == ["schedule", "main", "nightly", minute]
    assert schedule_of(here, repo)["last_due"] == minute
    assert here.verdict(commit, "staunch/pipeline (nightly)").state == "success"
    said = " ".join(here.staunch("schedules", "--repo", repo.name).split())
    assert "nightly" in said and run["id"] in said


def test_a_wrong_cron_expression_fails_its_pipeline_with_file_and_line(
    here: Installed, repo: Registered
) -> None:
    commit = repo.pushed({FILE: plan("return 1", "on.schedule('0 25 * * *')")})
    run = here.ended(here.run(commit))
    error = run["error"]
    assert (run["state"], error["file"], error["line"]) == ("failed", FILE, 4)
    assert "'0 25 * * *' cannot be read: bad hour" in error["message"]
    assert here.verdict(commit).description.startswith(f"{FILE}:4: the cron expression")
    assert here.get(f"/schedules?repo={repo.name}")["schedules"] == []


def test_people_pause_resume_and_run_a_schedule_now(here: Installed, repo: Registered) -> None:
    commit = repo.pushed({FILE: plan(BODY, TOP.format(overlap="skip"))})
    schedule_of(here, repo)
    act = ("schedule", "pause", repo.name, "nightly")
    assert "nightly is paused by linus" in here.staunch(*act, who="linus")
    assert schedule_of(here, repo)["paused"]["by"] == "linus"
    assert "paused by linus" in here.staunch("schedules", "--repo", repo.name)
    run = here.staunch("schedule", "run-now", repo.name, "nightly", "--key", "k").strip()
    again = here.staunch("schedule", "run-now", repo.name, "nightly", "--key", "k").strip()
    assert run == again
    assert begun(here, commit)["id"] == run
    assert "nightly goes on" in here.staunch("schedule", "resume", repo.name, "nightly")
    assert schedule_of(here, repo)["next"] is not None
    refused = here.staunch("schedule", "pause", repo.name, "nightly2", code=4)
    assert "there is no schedule 'nightly2' here (there is: nightly)" in refused


def test_a_queued_run_of_a_schedule_waits_for_the_one_before(
    here: Installed, repo: Registered
) -> None:
    body = "await step.wait_for_event('go')"
    repo.pushed({FILE: plan(body, TOP.format(overlap="queue"))})
    schedule_of(here, repo)
    first, second = (
        here.staunch("schedule", "run-now", repo.name, "nightly").strip() for _ in range(2)
    )
    until("the first run", lambda: here.call("GET", f"/runs/{first}").status == 200, TIMEOUT_S)
    until("the second run", lambda: here.call("GET", f"/runs/{second}").status == 200, TIMEOUT_S)
    # Which of them came first is the shards' affair; one waits for the signal, the other for it.
    both = (first, second)

    def waits() -> dict[str, str] | None:
        found = {here.show(run)["waiting_for"]: run for run in both}
        return found if "signal go" in found and len(found) == 2 and "" not in found else None

    found = until("one to run and the other to wait", waits, TIMEOUT_S)
    holder = found.pop("signal go")
    ((why, waiter),) = found.items()
    assert "schedule pipeline/nightly" in why
    here.staunch("signal", holder, "go")
    assert here.ended(holder)["state"] == "succeeded"
    here.staunch("signal", waiter, "go")
    assert here.ended(waiter)["state"] == "succeeded"


def test_what_fell_due_while_everything_was_dead_is_begun_by_a_restart_alone() -> None:
    folder = Path(tempfile.mkdtemp(prefix="staunch-schedules-"))
    folder.chmod(0o711)
    try:
        with installed(folder) as here:
            repo = here.repo("late")
            commit = repo.pushed({FILE: plan(BODY, TOP.format(overlap="allow"))})
            one = schedule_of(here, repo)
            minute = time.time() // 60 * 60
            # No engine is there to see to it while its alarm rings, nor when all the rest dies.
            os.kill(here.installation.pids()["engine-0"], signal.SIGSTOP)
            fall_due(here, one["repo"], minute)
            here.installation.kill()
            here.installation.start()
            run = begun(here, commit)
            assert run["output"] == ["schedule", "main", "nightly", minute]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
