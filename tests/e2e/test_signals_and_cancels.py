"""Signals, retries and cancels from outside; how a wrong one is refused."""

from pathlib import Path
from zlib import crc32

import pytest

from pipelines.events import SIGNAL_BYTES_MAX
from tests.demo.installation import until
from tests.e2e.answers import GATE, at_gate, refused, said
from tests.e2e.installed import FILE, TIMEOUT_S, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]


def test_the_first_of_several_waits_takes_what_matches_and_leaves_the_rest(here, repo):
    body = """
got = step.wait_for_event('answer', event=['yes', 'no'], match={'env': 'eu'})
which, value = await step.first(got=got, late=step.sleep('late', '1h'))
return [which, *value, await step.wait_for_event('rest', event='yes')]
"""
    run = repo.plan(body)
    here.waiting(run, "signal yes or no, sleep late")
    here.staunch("signal", run, "yes", '{"env": "us"}')
    assert 'signal yes or no with {"env":"eu"}' in said(here.staunch("show", run))
    here.staunch("signal", run, "no", '{"env": "eu"}')
    assert here.ended(run)["output"] == ["got", "no", {"env": "eu"}, {"env": "us"}]


def test_a_retry_is_had_now_instead_of_after_its_pause(here, repo):
    body = """
await step.job('flaky', run='test "$STAUNCH_ATTEMPT" = 2', retries=Retry(1, delay='1h'))
await step.gate('go-live')
"""
    run = repo.plan(body)
    here.waiting(run, "a retry of flaky")
    told = said(here.staunch("retry", run, "other", code=1))
    assert "step 'other'" in told and "these wait for an attempt: flaky" in told
    told = said(here.staunch("retry", run, "flaky", who="mallory"))
    assert told == f"attempt 2 of step flaky of run {run} begins now"
    here.waiting(run, "gate go-live")
    assert "flaky #2 wanted now by mallory" in said(here.staunch("show", run))
    told = said(here.staunch("retry", run, "flaky", code=1))
    assert "does not wait for a further attempt; no step of it does now" in told
    assert here.answer(run, "go-live").status == 200
    here.ended(run)
    told = said(here.staunch("retry", run, "flaky", code=1))
    assert told == f"staunch: run {run} is over: it succeeded"
    refused(here.call("POST", "/runs/nonsense/steps/a/retry"), 404, "no run 'nonsense'")


def test_a_signal_is_kept_until_it_is_waited_for_and_each_is_taken_once(here, repo):
    body = f"""
{GATE}
return [await step.wait_for_event(name, event='ready') for name in ('first', 'second', 'third')]
"""
    run = at_gate(here, repo, body)
    told = said(here.staunch("signal", run, "ready", '{"n": [1, "größe"]}', "--id", "one"))
    assert told == f"signal ready sent to run {run}"
    here.staunch("signal", run, "ready", '{"n": [1, "größe"]}', "--id", "one")
    told = said(here.staunch("signal", run, "ready", '"again"', "--id", "one", code=1))
    assert "The key 'one' was used before" in told
    here.staunch("signal", run, "ready")
    here.answer(run, "go-live")
    here.waiting(run, "signal ready")
    here.staunch("signal", run, "other", "1")
    assert here.show(run)["waiting_for"] == "signal ready"
    sent = here.call("POST", f"/runs/{run}/signals", {"name": "ready", "payload": 3})
    assert (sent.status, sent.body) == (202, {"run": run, "signal": "ready"})
    ended = here.ended(run)
    assert (ended["state"], ended["output"]) == ("succeeded", [{"n": [1, "größe"]}, None, 3])
    assert "ready by admin" in said(here.staunch("show", run))


def test_a_signal_that_cannot_arrive_is_refused_with_the_reason(here, repo):
    run = at_gate(here, repo)
    for wrong in ("{ready: 1}", "yes", "", "NaN", "Infinity"):
        told = said(here.staunch("signal", run, "ready", wrong, code=2))
        assert told.startswith("staunch: the payload is no JSON: ")
    told = said(here.staunch("signal", run, "ready", '"\\ud800"', code=2))
    assert "cannot be sent as JSON" in told
    path = f"/runs/{run}/signals"
    long = {"name": "ready", "payload": "x" * SIGNAL_BYTES_MAX}
    refused(here.call("POST", path, long), 413, "the limit is 8,388,608")
    for name in ("", "x" * 257):
        refused(here.call("POST", path, {"name": name}), 422, "body.name")
    refused(here.call("POST", "/runs/nonsense/signals", {"name": "ready"}), 404, "`staunch runs`")
    assert len(here.show(run)["inputs"]) == 1
    here.answer(run, "go-live")
    here.ended(run)
    told = said(here.staunch("signal", run, "ready", code=1))
    assert told == f"staunch: run {run} is over: it succeeded"
    refused(here.call("POST", path, {"name": "ready"}), 409, f"run {run} is over")


def processes(marker):
    """The command lines of all living processes which have this in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if marker in line:
            found.append(line)
    return found


def test_a_cancel_ends_every_process_of_a_job_and_is_told_to_the_forge(here, repo):
    marker = str(10**8 + crc32(repo.name.encode()))
    # Whatever they begin does not hear SIGTERM, and some of it has left the session.
    begin = (
        f"trap '' TERM; sleep {marker}.1 & setsid sleep {marker}.2 & (setsid sleep {marker}.3 &)"
    )
    body = f"""
try:
    await step.job("slow", run="{begin}; sleep {marker}.4")
finally:
    await step.job("sweep", run="echo swept")
"""
    commit = repo.pushed({FILE: plan(body)})
    run = here.run(commit)

    def sleeping():
        lines = [line for line in processes(marker) if line.startswith("sleep ")]
        return lines if len(lines) == 4 else None

    until("all of the job to run", sleeping, TIMEOUT_S)
    told = said(here.staunch("cancel", run, "--reason", "the wrong branch", who="grace"))
    assert told == f"run {run} is told to end"
    ended = here.ended(run)
    assert ended["state"] == "cancelled"
    until("all of the job to be gone", lambda: not processes(marker), TIMEOUT_S)
    verdict = here.verdict(commit)
    assert (verdict.state, verdict.description) == ("error", "cancelled")
    assert "by grace: the wrong branch" in said(here.staunch("show", run))
    assert "swept" in here.staunch("logs", run, "sweep")

    def reported():
        states = {one["key"]: one["state"] for one in here.show(run)["attempts"]}
        return states == {"slow": "cancelled", "sweep": "succeeded"}

    until("both jobs to be reported", reported, TIMEOUT_S)
    told = said(here.staunch("cancel", run, code=1))
    assert told == f"staunch: run {run} is over: it was cancelled"
    assert here.told(commit)[-1].state == "error"


def test_a_run_that_is_cancelled_at_a_gate_closes_it_on_the_commit_too(here, repo):
    commit = repo.pushed({FILE: plan(GATE)})
    run = here.run(commit)
    here.waiting(run, "gate go-live")
    cancel = f"/runs/{run}/cancel"
    assert here.call("POST", cancel, {}, who="mallory").status == 202
    assert here.ended(run)["state"] == "cancelled"
    gate = here.verdict(commit, "staunch/pipeline/go-live")
    assert (gate.state, gate.description) == ("error", "closed before it was answered")
    assert here.verdict(commit).state == "error"
    refused(here.answer(run, "go-live"), 409, "closed before it was answered", "was cancelled")
    refused(here.call("POST", cancel, {}), 409, f"run {run} is over: it was cancelled")
    refused(here.call("POST", "/runs/nonsense/cancel", {}), 404, "no run 'nonsense'")
