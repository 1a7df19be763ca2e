"""Every executor runs a job directory the same way."""

import asyncio
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from pipelines.job import ShellStep
from runners import job_directory, launcher, workspace
from runners.executors.process import Process
from runners.ports import Refused
from tests.contract.conftest import bench_of
from tests.executor_bench import cancel, log_of, needs_bwrap, needs_podman
from tests.patience import AT_ONCE_S, SHORT_S
from tests.runner_world import make_spec, pids_with, until

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(
    params=[
        pytest.param("bubblewrap", marks=needs_bwrap),
        pytest.param("oci", marks=needs_bwrap),
        pytest.param("podman", marks=needs_podman),
        "process",
    ]
)
def bench(request, root):
    return bench_of(request, root)


async def test_a_job_ends_as_its_first_failing_step_ended(bench):
    record, log = await bench.run(make_spec(bench.source, "true", "exit 42", "echo not reached"))
    assert (record["outcome"], record["exit_code"]) == ("failed", 42)
    assert "'exit 42' ended with exit code 42" in record["message"]
    assert "not reached" not in log
    assert "=== exit 42: exit code 42" in log


async def test_a_step_stops_at_its_first_failing_command(bench):
    record, log = await bench.run(make_spec(None, "echo before\nfalse\necho after"))
    assert record["exit_code"] == 1
    assert "before" in log
    assert "after" not in log.replace("=== ", "")


async def test_a_job_without_a_failing_step_succeeds(bench):
    record, log = await bench.run(make_spec(bench.source, "cat a.txt", "printf 'no end'"))
    assert (record["outcome"], record["exit_code"], record["message"]) == ("succeeded", 0, "")
    assert "from the repository\n" in log
    assert "\nno end\n=== printf" in log


async def test_the_checkout_is_the_commit_and_nothing_runs_from_the_mirror(bench):
    hook = Path(bench.source.mirror) / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\necho the hook ran\n")
    hook.chmod(0o755)
    _, log = await bench.run(make_spec(bench.source, "git status --short --branch", "git log -1"))
    assert f"=== checkout\n{bench.source.commit} first\n=== checkout: exit code 0" in log
    assert "HEAD (no branch)" in log
    assert "the hook ran" not in log


async def test_a_commit_that_is_not_in_the_mirror_fails_in_the_checkout_step(bench):
    source = type(bench.source)(mirror=bench.source.mirror, commit="1" * 40)
    record, log = await bench.run(make_spec(source, "echo not reached"))
    assert record["outcome"] == "failed"
    assert "step 'checkout'" in record["message"]
    assert "not reached\n===" not in log


HOSTILE = ['a";id;"', "$(id)", "`id`", "a\nb\n", "'; touch pwned; '", "\\", " ", "-n", "ü🎉", "%s"]


async def test_hostile_names_arrive_byte_for_byte_and_nothing_of_them_is_executed(bench):
    context = {f"STAUNCH_X{n}": text for n, text in enumerate(HOSTILE)}
    own = {f"OWN{n}": text for n, text in enumerate(HOSTILE)}
    step = ShellStep(run="env -0 | base64 -w0; echo; ls", name='a";id;"\n$(id)', env=own)
    record, log = await bench.run(
        make_spec(None, context=context, env={"JOB": "$(id)"}, steps=[step])
    )
    assert record["outcome"] == "succeeded"
    import base64

    encoded = log.split("\n")[1]
    variables = dict(
        entry.split("=", 1) for entry in base64.b64decode(encoded).decode().split("\0") if entry
    )
    for number, text in enumerate(HOSTILE):
        assert variables[f"STAUNCH_X{number}"] == text
        assert variables[f"OWN{number}"] == text
    assert variables["JOB"] == "$(id)"
    assert "uid=" not in log
    assert "pwned" not in log


async def test_every_step_has_its_own_directory_and_variables(bench):
    steps = [
        ShellStep(run="mkdir -p 'a b'", env={"ONE": "1"}),
        ShellStep(run='basename "$PWD"; echo "${ONE-unset} $CI $STAUNCH_ATTEMPT"', cwd="a b"),
    ]
    _, log = await bench.run(make_spec(None, steps=steps))
    assert "a b\nunset true 1\n" in log


async def test_a_step_that_runs_too_long_is_named_with_its_limit(bench):
    steps = [ShellStep(run="echo begun; sleep 60", name="slow", timeout_s=SHORT_S)]
    record, log = await bench.run(make_spec(None, steps=steps))
    assert record["outcome"] == "timed_out"
    assert record["message"] == f"step 'slow' ran longer than its limit of {SHORT_S:.0f} s"
    assert log.endswith(f"begun\n=== {record['message']}\n")


async def test_a_job_that_runs_too_long_is_timed_out_in_whichever_step(bench):
    record, _ = await bench.run(make_spec(None, "true", "sleep 60", timeout_s=SHORT_S))
    assert record["outcome"] == "timed_out"
    assert record["message"] == f"step 'sleep 60' was running at the job's limit of {SHORT_S:.0f} s"


async def test_a_cancelled_step_may_clean_up_within_the_grace(bench):
    script = "trap 'echo cleaned; exit 9' TERM; echo begun; while :; do sleep 0.05; done"
    directory = await bench.start(make_spec(None, script))
    await until(lambda: "begun\n" in log_of(directory), "the first line")
    cancel(directory, "not needed")
    record = await bench.end(directory)
    assert (record["outcome"], record["message"]) == ("cancelled", "cancelled: not needed")
    assert "cleaned" in log_of(directory)


async def test_nothing_of_a_job_survives_its_end_not_even_daemons(bench):
    marker = f"87654.{os.getpid()}"
    daemons = f"for i in 1 2 3; do setsid nohup sleep {marker} >/dev/null 2>&1 & done; sleep 0.1"
    record, _ = await bench.run(make_spec(None, daemons))
    assert record["outcome"] == "succeeded"
    await until(lambda: not pids_with(marker), "the end of all daemons")


async def test_cancelling_kills_daemons_that_ignore_signals(bench):
    marker = f"76543.{os.getpid()}"
    script = (
        "trap '' TERM HUP; for i in 1 2 3 4; do"
        f' setsid nohup sh -c \'trap "" TERM; sleep {marker};'
        f" sleep {marker}' & done; echo begun; sleep {marker}; sleep {marker}"
    )
    spec = make_spec(None, script)
    directory = await bench.start(spec)
    await until(lambda: len(pids_with(marker)) >= 5, "the daemons")
    started = time.monotonic()
    cancel(directory)
    record = await bench.end(directory)
    assert record["outcome"] == "cancelled"
    assert time.monotonic() - started < AT_ONCE_S
    assert pids_with(marker) == []


async def test_a_killed_shim_takes_its_job_along_and_the_job_is_lost(bench):
    marker = f"65432.{os.getpid()}"
    directory = await bench.start(make_spec(None, f"echo begun; sleep {marker}"))
    await until(lambda: pids_with(f"sleep\0{marker}"), "the sleeper")
    shim = job_directory.read_record(str(directory), job_directory.SHIM)
    os.kill(shim["pid"], signal.SIGKILL)
    await until(lambda: job_directory.state_of(str(directory)) == job_directory.LOST, "the state")
    if not isinstance(bench.executor, Process):
        await until(lambda: not pids_with(marker), "the end of the sandbox")
    for pid in pids_with(marker):
        os.kill(pid, signal.SIGKILL)


async def test_a_job_that_was_started_is_never_started_again(bench):
    directory = await bench.start(make_spec(None, "echo once"))
    await bench.end(directory)
    (directory / job_directory.EXIT).unlink()
    await launcher.start_shim(directory)
    assert job_directory.state_of(str(directory)) == job_directory.LOST
    assert log_of(directory).count("\nonce\n") == 1


async def test_a_shim_whose_directory_vanishes_ends_its_job_and_itself(bench):
    marker = f"54321.{os.getpid()}"
    directory = await bench.start(make_spec(None, f"sleep {marker}"))
    await until(lambda: pids_with(f"sleep\0{marker}"), "the sleeper")
    pid = job_directory.read_record(str(directory), job_directory.SHIM)["pid"]
    shutil.rmtree(directory)
    await until(lambda: not pids_with(marker), "the end of the job")
    await until(lambda: job_directory.identity_of(pid) is None, "the end of the shim")


async def test_a_job_that_no_agent_looks_after_ends_and_says_so(bench):
    marker = f"54322.{os.getpid()}"
    directory = await bench.start(make_spec(None, f"sleep {marker}"), unattended_s_max=0.5)
    record = await bench.end(directory)
    why = "no agent has looked after this job for 0.5 s"
    assert (record["outcome"], record["message"]) == ("lost", why)
    assert log_of(directory).endswith(f"=== {why}\n")
    assert not pids_with(f"sleep\0{marker}")


async def test_bytes_that_are_no_text_reach_the_log_as_they_are(bench):
    _, log = await bench.run(make_spec(None, r"printf '\377\000\033[31m'"))
    assert "\udcff\x00\x1b[31m\n===" in log


@pytest.mark.parametrize("over", [0, 1])
async def test_a_log_is_kept_to_its_limit_and_says_where_it_was_cut(bench, over):
    header = b"=== x\n"
    step = ShellStep(run=f"head -c {1000 + over} /dev/zero; sleep 0.1", name="x")
    spec = make_spec(None, steps=[step])
    directory = await bench.start(spec, log_bytes_max=len(header) + 1000)
    record = await bench.end(directory)
    log = (directory / "log").read_bytes()
    assert record["outcome"] == "succeeded"
    assert record["log_bytes"] == len(log)
    assert log.startswith(header + b"\0" * 1000)
    assert log.count(b"\0") == 1000
    assert (b"=== the log is full; what follows is dropped\n" in log) == bool(over)


async def test_volumes_are_written_and_unknown_ones_are_refused_by_name(bench):
    confined = not isinstance(bench.executor, Process)
    place = "/volumes/shared" if confined else '"$STAUNCH_VOLUME_SHARED"'
    spec = make_spec(None, f"echo kept > {place}/file", volumes=["shared"])
    record, log = await bench.run(spec)
    assert record["outcome"] == "succeeded", log
    assert (bench.root / "volume" / "file").read_text() == "kept\n"
    with pytest.raises(Refused, match=r"no volume 'other' \(it has: shared\)"):
        bench.executor.plan(make_spec(None, "true", volumes=["other"]), bench.root, 0)


async def test_what_one_slot_leaves_on_a_volume_another_may_change(bench):
    confined = not isinstance(bench.executor, Process)
    place = "/volumes/shared" if confined else '"$STAUNCH_VOLUME_SHARED"'
    for slot in (0, 1):
        script = f"mkdir -p {place}/folder && echo {slot} >> {place}/folder/file"
        spec = make_spec(None, script, volumes=["shared"], key=f"slot{slot}")
        record = await bench.end(await bench.start(spec, slot))
        assert record["outcome"] == "succeeded", log_of(bench.root / "jobs" / spec.id)
    assert (bench.root / "volume" / "folder" / "file").read_text() == "0\n1\n"


async def test_what_no_environment_can_hold_is_refused(bench):
    for env in ({"A": "x\0y"}, {"A B": "x"}, {"": "x"}):
        with pytest.raises(Refused):
            bench.executor.plan(make_spec(None, "true", env=env), bench.root, 0)


async def test_many_shims_of_one_directory_run_the_job_once(bench):
    spec = make_spec(None, "echo once; sleep 0.2")
    directory = bench.root / "jobs" / spec.id
    launch = bench.executor.plan(spec, directory, 0)
    workspace.create(
        directory,
        spec=spec,
        launch=launch,
        note=workspace.DeliveryNote(slot=0, token=""),
    )
    await asyncio.gather(*(launcher.start_shim(directory) for _ in range(4)))
    record = await bench.end(directory)
    assert record["outcome"] == "succeeded"
    assert log_of(directory).count("\nonce\n") == 1


async def test_a_step_that_is_killed_has_failed(bench):
    record, log = await bench.run(make_spec(None, "echo begun; sh -c 'kill -9 $$'; echo not here"))
    assert (record["outcome"], record["exit_code"]) == ("failed", 137)
    assert "not here" not in log.splitlines()


async def test_a_job_that_must_be_confined_is_refused_where_it_would_not_be(bench):
    spec = make_spec(None, "echo confined", isolation="sandbox")
    if isinstance(bench.executor, Process):
        with pytest.raises(Refused, match="must run isolated"):
            await bench.run(spec)
    else:
        record, log = await bench.run(spec)
        assert record["outcome"] == "succeeded", log
    with pytest.raises(Refused, match="microvm"):
        await bench.run(make_spec(None, "echo", key="other", isolation="microvm"))
