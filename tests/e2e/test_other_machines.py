"""Runners on another machine: they share nothing with the host but a wire."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.demo.installation import until
from tests.e2e.far import Far
from tests.e2e.installed import Registered
from tests.patience import PATIENCE_S

pytestmark = [
    pytest.mark.xdist_group("other-machine"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

PLAN = """
made = await step.job(
    "make", pool="POOL", artifacts={"dist": "dist"}, reports={"junit": "r.xml"},
    run=["cat hello.txt; mkdir dist; head -c 9000000 /dev/urandom > dist/big",
         "echo key=v >> $STAUNCH_OUTPUT; seq 200000",
         "echo '<testsuite><testcase name=\\"a\\"/></testsuite>' > r.xml"])
await step.job("use", pool="POOL", files=[made.artifacts["dist"].into("in")],
    caches=[Cache("deps", "cached")],
    run="ls -l in/dist/big; test -e cached || mkdir cached && date > cached/d")
return made.outputs["key"]
"""


def test_a_runner_that_joined_does_all_that_one_of_the_host_does(
    far: Far, far_repo: Registered
) -> None:
    runner, here = far.joined("far"), far.here
    far_repo.write({"hello.txt": "hello from the repository\n"})
    for _ in range(2):
        run = far_repo.plan(PLAN.replace("POOL", "far"))
        shown = here.ended(run)
        assert (shown["state"], shown["output"]) == ("succeeded", "v"), shown["error"]
    assert {one["runner"] for one in shown["attempts"]} == {runner}
    log = here.staunch("logs", run, "make")
    assert "hello from the repository" in log and "\n199999\n200000\n" in log
    used = here.staunch("logs", run, "use")
    assert "9000000" in used and "cache deps: restored 1 files" in used


SERVED = """
from staunch import Service
web = Service(run="echo serving; exec python3 -m http.server 8000", port=8000)
ask = "python3 -c 'import urllib.request as u; print(u.urlopen(\\"http://web:8000\\").status)'"
await step.job("ask", run=ask, pool="serving", services={"web": web}, checkout=False)
"""


def test_its_jobs_have_services_whose_logs_are_read_as_any(far: Far, far_repo: Registered) -> None:
    far.joined("serving")
    run = far_repo.plan(SERVED)
    shown = far.here.ended(run)
    assert shown["state"] == "succeeded", shown["error"]
    assert "\n200\n" in far.here.staunch("logs", run, "ask")
    said = far.here.staunch("logs", run, "ask", "--service", "web")
    assert said.startswith("serving\n") and "GET / HTTP" in said


def test_its_jobs_get_secrets_and_show_none_of_them(far: Far, far_repo: Registered) -> None:
    far.joined("secretive")
    body = {"name": "KEY", "repo": far_repo.name, "value": "a canary of thirty characters."}
    assert far.here.call("PUT", "/secrets", body).status == 200
    plan = 'await step.job("use", pool="secretive", secrets=["KEY"], checkout=False, run=RUN)'
    command = "'echo $KEY | tr a-z A-Z; echo $KEY'"
    run = far_repo.plan(plan.replace("RUN", f'"{command[1:-1]}"'))
    assert far.here.ended(run)["state"] == "succeeded"
    log = far.here.staunch("logs", run, "use")
    assert "A CANARY OF THIRTY CHARACTERS." in log and "a canary" not in log
    left = [path for path in far.machine.folder.rglob("*") if path.is_file()]
    assert left and not [one for one in left if b"a canary of thirty" in one.read_bytes()]


def test_a_cancel_reaches_its_job_at_once(far: Far, far_repo: Registered) -> None:
    far.joined("cancelled")
    run = far_repo.plan('await step.job("long", pool="cancelled", run="echo begun; sleep 600")')
    far.at_work(run)
    far.here.staunch("cancel", run)
    assert far.here.ended(run)["state"] == "cancelled"
    # A run is over when its cancel is decided; its job ends a moment later, and not after 600 s.
    until("the job's end", lambda: attempt_of(far, run)["state"] != "running", PATIENCE_S)
    assert attempt_of(far, run)["state"] == "cancelled"


def attempt_of(far: Far, run: str) -> dict[str, Any]:
    """The newest attempt of a run's job."""
    newest: dict[str, Any] = far.here.show(run)["attempts"][-1]
    return newest


LINES = "for i in $(seq 1 60); do echo line $i; sleep 0.1; done"


def numbered(text: str) -> list[int]:
    """The numbers of the lines that `LINES` has left in a log."""
    words = (line.split() for line in text.splitlines())
    return [int(word[1]) for word in words if len(word) == 2 and word[0] == "line"]


def test_a_job_goes_on_while_the_wire_is_cut_and_no_line_is_lost(
    far: Far, far_repo: Registered
) -> None:
    far.joined("cut")
    run = far_repo.plan(f'await step.job("count", pool="cut", run="{LINES}")')
    until("some lines", lambda: _lines_there(far) >= 5, PATIENCE_S)
    with far.machine.unplugged():
        until("the job to go on alone", lambda: _lines_there(far) >= 40, PATIENCE_S)
    shown = far.here.ended(run)
    assert shown["state"] == "succeeded", shown["error"]
    assert numbered(far.here.staunch("logs", run, "count")) == list(range(1, 61))


def test_a_killed_agent_finds_its_job_and_is_the_same_runner(
    far: Far, far_repo: Registered
) -> None:
    runner = far.joined("killed")
    run = far_repo.plan(f'await step.job("count", pool="killed", run="{LINES}")')
    far.at_work(run)
    until("some lines", lambda: _lines_there(far) >= 10, PATIENCE_S)
    far.machine.kill(runner, signal.SIGKILL)
    # Without the invitation: it is a member by now.
    far.started(runner)
    shown = far.here.ended(run)
    assert shown["state"] == "succeeded", shown["error"]
    assert [one["runner"] for one in shown["attempts"]] == [runner]
    assert numbered(far.here.staunch("logs", run, "count")) == list(range(1, 61))


def test_all_of_the_host_may_be_killed_while_a_job_runs_there(
    far: Far, far_repo: Registered
) -> None:
    far.joined("left")
    run = far_repo.plan(f'await step.job("count", pool="left", run="{LINES}")')
    far.at_work(run)
    far.here.installation.kill()
    far.here.installation.start()
    shown = far.here.ended(run)
    assert shown["state"] == "succeeded", shown["error"]
    assert numbered(far.here.staunch("logs", run, "count")) == list(range(1, 61))


def test_a_runner_for_one_job_ends_with_it_and_is_let_in_no_more(
    far: Far, far_repo: Registered
) -> None:
    runner = far.joined("once", "--single")
    ends = [far_repo.plan('await step.job("j", pool="once", run="true")') for _ in range(1)]
    assert far.here.ended(ends[0])["state"] == "succeeded"
    until("the agent to end", lambda: not far.machine.runs(runner), PATIENCE_S)
    assert far.state_of(runner) == "spent"
    assert far.machine.code_of(runner) == 0


def test_a_runner_of_a_pool_for_strangers_is_for_one_job_unless_it_is_said_otherwise(
    far: Far,
) -> None:
    far.here.staunch("pool", "set", "strangers", "--tier", "untrusted")
    assert far.invited("strangers")["single"]
    assert not far.invited("strangers", "--lasting")["single"]
    assert not far.invited("others")["single"]
    far.here.staunch("pool", "remove", "strangers")


def test_a_drained_runner_takes_nothing_until_it_is_resumed(far: Far, far_repo: Registered) -> None:
    runner = far.joined("drained")
    far.here.staunch("runner", "drain", runner)
    until("it to hear that", lambda: _slots(far, runner) == 0, PATIENCE_S)
    run = far_repo.plan('await step.job("j", pool="drained", run="true")')
    until("the job to wait", lambda: "being drained" in far.here.staunch("show", run), PATIENCE_S)
    assert not far.here.show(run)["attempts"][-1]["runner"]
    far.here.staunch("runner", "resume", runner)
    assert far.here.ended(run)["state"] == "succeeded"


def test_a_revoked_runner_is_dropped_at_once_and_says_why_it_ends(
    far: Far, far_repo: Registered
) -> None:
    runner = far.joined("revoked")
    far.here.staunch("runner", "revoke", runner)
    until("the agent to end", lambda: not far.machine.runs(runner), 2 * PATIENCE_S)
    assert far.machine.code_of(runner) == 1
    assert "revoked" in far.machine.said()
    assert far.state_of(runner) == "revoked"
    assert runner in far.here.staunch("runner", "list")


def _slots(far: Far, runner: str) -> int:
    found = far.here.get("/runners")["runners"]
    return next((int(one["slots"]) for one in found if one["runner"] == runner), -1)


def _lines_there(far: Far) -> int:
    """How many lines the job has written on its own machine."""
    logs = Path(far.machine.folder).glob("*/jobs/*/log")
    return max((len(numbered(log.read_text(errors="replace"))) for log in logs), default=0)
