"""A shim that is forked is a shim like any other, and a zygote that is gone is missed by no job."""

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from runners import job_directory, launcher
from runners.launcher import ShimFailed, Zygote
from tests.executor_bench import Bench, log_of
from tests.runner_world import kill, make_spec, pids_with, until

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

CANARY = "canary-0123456789-of-a-job"
WAITS = "while [ ! -e go ]; do sleep 0.02; done"


def shim_of(directory: Path) -> int:
    return job_directory.read_record(str(directory), job_directory.SHIM)["pid"]


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def open_in(pid: int) -> list[str]:
    folder = Path(f"/proc/{pid}/fd")
    return sorted(os.readlink(path) for path in folder.iterdir())


@pytest.fixture
def own():
    """A zygote that a test may kill."""
    made = Zygote()
    yield made
    made.close()


async def going(bench: Bench, own: Zygote | None, **more) -> Path:
    """A job that waits for the file `go` in its workspace."""
    bench.zygote = own
    directory = await bench.start(make_spec(None, WAITS, **more.pop("spec", {})), **more)
    await until(lambda: "=== while" in log_of(directory), "its step")
    return directory


async def let_go(bench: Bench, directory: Path) -> dict:
    (directory / "workspace" / "go").touch()
    return await bench.end(directory)


async def test_a_forked_shim_is_nobodys_child_and_leads_a_session_of_its_own(bench, own):
    directory = await going(bench, own)
    shim = shim_of(directory)
    assert own.pid is not None
    assert status_of(shim)["PPid"] not in (str(own.pid), str(os.getpid()))
    assert os.getsid(shim) == shim
    assert status_of(shim)["Name"] == "staunch-shim"
    assert shim in pids_with(str(directory))
    assert (await let_go(bench, directory))["outcome"] == "succeeded"


async def test_it_has_the_descriptors_of_one_that_was_started_by_itself(bench, own):
    def kinds(directory: Path) -> list[str]:
        found = open_in(shim_of(directory))
        return sorted(re.sub(r"\[\d+\]|\d+", "", one.replace(str(directory), "")) for one in found)

    cold = await going(bench, None, spec={"key": "cold"})
    forked = await going(bench, own, spec={"key": "fork"})
    second = await going(bench, own, spec={"key": "next"})
    # A shim that just now measures its job's disk has a pipe more, for a moment.
    await until(lambda: kinds(forked) == kinds(cold) == kinds(second), "the same in all")
    for directory in (cold, forked, second):
        await let_go(bench, directory)


async def test_secrets_of_a_job_are_in_no_zygote_and_in_no_other_shim(bench, own):
    directory = await going(bench, own, secrets={"TOKEN": CANARY})
    other = await going(bench, own, spec={"key": "other"})
    assert own.pid is not None
    assert CANARY.encode() in _memory_of(shim_of(directory))
    for pid in (own.pid, shim_of(other)):
        assert CANARY.encode() not in _memory_of(pid)
    for one in (directory, other):
        await let_go(bench, one)


def _memory_of(pid: int) -> bytes:
    """All that it has written, as root can read it."""
    if os.geteuid() != 0:
        pytest.skip("only root can read the memory of a shim")
    found = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            begin, end = (int(one, 16) for one in span.split("-"))
            if rights.startswith("rw") and "[v" not in line:
                memory.seek(begin)
                found.append(memory.read(end - begin))
    return b"".join(found)


async def test_a_zygote_that_is_killed_is_missed_by_no_job_and_made_anew(bench, own):
    own.start()
    first = own.pid
    kill(first)
    await until(lambda: not Path(f"/proc/{first}/exe").exists(), "its death")
    directory = await going(bench, own)
    assert own.pid != first
    kill(own.pid)
    record = await let_go(bench, directory)
    assert record["outcome"] == "succeeded"
    record, _ = await bench.run(make_spec(None, "true", key="after"))
    assert record["outcome"] == "succeeded"


async def test_one_that_dies_with_a_job_in_hand_has_started_it_once_or_not_at_all(bench, own):
    own.start()
    os.kill(own.pid, signal.SIGSTOP)
    bench.zygote = own
    spec = make_spec(None, "echo ran >> $STAUNCH_SUMMARY")
    starting = asyncio.create_task(bench.start(spec))
    directory = bench.root / "jobs" / spec.id
    await until(directory.exists, "the job's directory")
    # It has the message, and will never read it.
    kill(own.pid)
    assert await starting == directory
    assert (await bench.end(directory))["outcome"] == "succeeded"
    assert (directory / "handed" / "summary").read_text() == "ran\n"


async def test_both_ways_at_once_run_a_job_once(bench, own):
    bench.zygote = own
    directory = await bench.start(make_spec(None, "echo ran >> $STAUNCH_SUMMARY; sleep 0.2"))
    ways = [own, None, own, None]
    await asyncio.gather(*(launcher.start_shim(directory, {}, one) for one in ways))
    assert (await bench.end(directory))["outcome"] == "succeeded"
    assert (directory / "handed" / "summary").read_text() == "ran\n"


async def test_what_goes_wrong_in_a_first_half_is_told(bench, own, root):
    broken = root / "broken"
    broken.mkdir()
    (broken / job_directory.LAUNCH).write_text("{no json")
    with pytest.raises(ShimFailed, match=r"ended with 1: (.|\n)*JSONDecodeError"):
        await launcher.start_shim(broken, {}, own)
    record, _ = await bench.run(make_spec(None, "true"))
    assert record["outcome"] == "succeeded"


async def test_it_ends_with_whoever_it_is_for_and_its_shims_do_not(bench, own):
    directory = await going(bench, own)
    pid = own.pid
    own.close()
    assert not Path(f"/proc/{pid}").exists()
    assert (await let_go(bench, directory))["outcome"] == "succeeded"
