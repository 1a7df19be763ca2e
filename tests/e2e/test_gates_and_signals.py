"""What people do to a run from outside: answers, signals, cancels; how a wrong one is refused."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zlib import crc32

import pytest

from pipelines.events import SIGNAL_BYTES_MAX
from tests.demo.installation import until
from tests.e2e.installed import FILE, TIMEOUT_S, parsed, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

GATE = "await step.gate('go-live', approvers=['@ops'])"
TYPED = """
asked = {'percent': int, 'ratio': float, 'note': str, 'dry': bool}
answer = await step.gate('go-live', approvers=['@ops'], inputs=asked)
return [[name, type(x).__name__, x] for name, x in sorted(answer.inputs.items())]
"""
RIGHT = {"percent": 25, "ratio": 0.5, "note": "slowly", "dry": True}


def refused(answer, status, *words):
    """The answer is a refusal of this kind which says these things."""
    assert answer.status == status, answer
    assert answer.body["status"] == status
    for word in words:
        assert word in answer.detail


def said(output):
    """What a command said, in one line."""
    assert "Traceback" not in output
    return " ".join(output.split())


def at_gate(here, repo, body=GATE, gate="go-live"):
    """A run that waits at a gate."""
    run = repo.plan(body)
    here.waiting(run, f"gate {gate}")
    return run


def test_a_second_answer_is_told_who_has_answered_already(here, repo):
    run = at_gate(here, repo, f"{GATE}\nawait step.gate('next')")
    assert here.answer(run, "go-live").status == 200
    refused(here.answer(run, "go-live", who="linus"), 409, "'go-live'", "approved by grace")
    here.waiting(run, "gate next")
    refused(here.answer(run, "go-live", who="grace"), 409, "'go-live'", "approved by grace")
    told = said(here.staunch("reject", run, "go-live", code=1, who="linus"))
    assert told == "staunch: gate 'go-live' has been answered already: approved by grace"
    assert here.answer(run, "next").status == 200
    assert here.ended(run)["state"] == "succeeded"
    told = said(here.staunch("approve", run, "go-live", code=1, who="linus"))
    assert "approved by grace" in told
    assert told.endswith(f"run {run} is over: it succeeded")


@pytest.mark.parametrize("act", ["approved", "rejected"])
def test_of_two_who_answer_at_once_one_is_accepted_and_the_other_hears_of_it(here, repo, act):
    run = at_gate(here, repo)

    def answer(who):
        return here.answer(run, "go-live", who=who, approved=act == "approved")

    with ThreadPoolExecutor(2) as both:
        answers = list(both.map(answer, ("grace", "linus")))
    first, second = sorted(answers, key=lambda answer: answer.status)
    assert first.status == 200
    refused(second, 409, "'go-live'", "already", f"{act} by {first.body['by']}")
    assert here.ended(run)["state"] == ("succeeded" if act == "approved" else "failed")


def test_one_person_counts_once_where_two_must_approve(here, repo):
    body = "answer = await step.gate('go-live', approvers=['@ops'], needed=2)\nreturn answer.by"
    run = at_gate(here, repo, body)
    assert here.answer(run, "go-live").status == 200
    refused(here.answer(run, "go-live"), 409, "grace has answered", "2 people must approve")
    until("it to be counted", lambda: here.show(run)["steps"][0]["approved_by"], TIMEOUT_S)
    told = said(here.staunch("approve", run, "go-live", code=1, who="grace"))
    assert "grace has answered gate 'go-live' already" in told
    assert "1 did (grace)" in told
    assert here.show(run)["waiting_for"] == "gate go-live"
    [gate] = here.show(run)["waiting"]
    assert (gate["kind"], gate["key"], gate["approved_by"]) == ("gate", "go-live", ["grace"])
    words = "waiting for: gate go-live: 1 of 2 approvals (grace), @ops may answer, for"
    assert words in said(here.staunch("show", run))
    assert here.answer(run, "go-live", who="linus").status == 200
    assert here.ended(run)["output"] == ["grace", "linus"]
    assert here.show(run)["waiting"] == []


def test_somebody_who_may_not_answer_is_told_who_may_and_the_run_waits_on(here, repo):
    run = at_gate(here, repo)
    for who in ("mallory", ""):
        for approved in (True, False):
            answer = here.answer(run, "go-live", who=who, approved=approved)
            refused(answer, 403, "may not answer gate 'go-live'", "its approvers are @ops")
    told = said(here.staunch("approve", run, "go-live", code=1, who="mallory"))
    assert told == "staunch: mallory may not answer gate 'go-live': its approvers are @ops"
    shown = here.show(run)
    assert (shown["waiting_for"], len(shown["inputs"])) == ("gate go-live", 1)
    told = said(here.staunch("approve", run, "go-live", "--comment", "well done", who="grace"))
    assert told == f"grace approved gate go-live of run {run}"
    assert here.ended(run)["state"] == "succeeded"
    assert "approved by grace: well done" in said(here.staunch("show", run))


def test_who_caused_a_run_may_not_answer_where_somebody_else_must(here, repo):
    commit = repo.pushed({FILE: plan("await step.gate('go-live', not_author=True)")})
    here.run(commit)
    run = said(here.staunch("start", repo.name, commit, who="grace"))
    here.waiting(run, "gate go-live")
    words = "somebody else must, because this run was caused by grace"
    refused(here.answer(run, "go-live"), 403, "grace may not answer gate 'go-live'", words)
    refused(here.answer(run, "go-live", approved=False), 403, words)
    assert "but not grace" in said(here.page(f"/runs/{run}"))
    assert here.answer(run, "go-live", who="linus").status == 200
    assert here.ended(run)["state"] == "succeeded"


def test_a_gate_that_its_timeout_opens_says_so_everywhere(here, repo):
    body = """
asked = {'percent': Input(int, default=25)}
return (await step.gate('go-live', inputs=asked, timeout=0.2, on_timeout='approve')).inputs
"""
    commit = repo.pushed({FILE: plan(body)})
    run = here.run(commit)
    ended = here.ended(run)
    assert (ended["state"], ended["output"]) == ("succeeded", {"percent": 25})
    assert "go-live opened by its timeout" in said(here.staunch("show", run))
    assert "opened by its timeout" in here.page(f"/runs/{run}")
    gate = here.verdict(commit, "staunch/pipeline/go-live")
    assert (gate.state, gate.description) == ("success", "opened by its timeout")
    refused(here.answer(run, "go-live"), 409, "gate 'go-live' was opened by its timeout", "over")


def test_a_gate_that_has_timed_out_takes_no_answer_and_the_outcome_says_so(here, repo):
    commit = repo.pushed({FILE: plan("await step.gate('go-live', timeout=0.2)")})
    run = here.run(commit)
    ended = here.ended(run)
    assert (ended["state"], ended["error"]["type"]) == ("failed", "GateTimedOut")
    refused(here.answer(run, "go-live"), 409, "not opened within 0.2 s: it has timed out", "over")
    told = said(here.staunch("approve", run, "go-live", code=1, who="grace"))
    assert "it has timed out" in told
    assert "not opened within 0.2 s" in said(here.staunch("show", run))
    gate = here.verdict(commit, "staunch/pipeline/go-live")
    assert (gate.state, gate.description) == (
        "failure",
        "gate 'go-live' was not opened within 0.2 s",
    )
    assert here.verdict(commit).state == "failure"


def test_a_plan_may_go_on_after_a_gate_timed_out_and_the_gate_stays_closed(here, repo):
    body = """
try:
    await step.gate('go-live', timeout=0.2)
except GateTimedOut:
    await step.gate('after-all')
"""
    run = at_gate(here, repo, body, "after-all")
    refused(here.answer(run, "go-live"), 409, "it has timed out")
    assert here.answer(run, "after-all").status == 200
    assert here.ended(run)["state"] == "succeeded"


def test_wrong_inputs_are_refused_by_name_and_right_ones_arrive_in_their_types(here, repo):
    run = at_gate(here, repo, TYPED)
    for wrong, words in (
        ({}, ("percent: int", "missing: dry, note, percent, ratio")),
        ({"percent": 25}, ("missing: dry, note, ratio",)),
        (RIGHT | {"colour": "red"}, ("unknown: colour",)),
        (RIGHT | {"percent": "25"}, ("'percent' must be of type int", "not '25'")),
        (RIGHT | {"percent": True}, ("'percent' must be of type int", "not True")),
        (RIGHT | {"percent": 2.5}, ("'percent' must be of type int", "not 2.5")),
        (RIGHT | {"ratio": None}, ("'ratio' must be of type float", "not None")),
        (RIGHT | {"dry": 1}, ("'dry' must be of type bool", "not 1")),
        (RIGHT | {"note": 1.1}, ("'note' must be of type str", "not 1.1", 'as a text: "1.1"')),
        (RIGHT | {"note": ["x"]}, ("'note' must be of type str",)),
    ):
        refused(here.answer(run, "go-live", inputs=wrong), 422, *words)
    typed = ["--input", "percent=25", "--input", "ratio=2", "--input", 'note="1.10"']
    told = said(here.staunch("approve", run, "go-live", *typed, code=1, who="grace"))
    assert told.endswith("missing: dry")
    told = said(here.staunch("approve", run, "go-live", "--input", "dry", code=2, who="grace"))
    assert "write NAME=VALUE" in told
    infinite = [*typed, "--input", "dry=false", "--input", "ratio=1e999"]
    told = said(here.staunch("approve", run, "go-live", *infinite, code=2, who="grace"))
    assert "cannot be sent as JSON" in told
    assert len(here.show(run)["inputs"]) == 1
    here.staunch("approve", run, "go-live", *typed, "--input", "dry=false", who="grace")
    assert here.ended(run)["output"] == [
        ["dry", "bool", False],
        ["note", "str", "1.10"],
        ["percent", "int", 25],
        ["ratio", "float", 2.0],
    ]


def test_an_input_with_rules_is_shown_with_them_and_refused_by_them(here, repo):
    body = """
asked = {
    'percent': Input(int, default=25, min=1, max=100, help='How much of the traffic?'),
    'env': ['eu', 'us'],
}
return (await step.gate('go-live', approvers=['@ops'], inputs=asked)).inputs
"""
    run = at_gate(here, repo, body)
    shown = said(here.staunch("show", run))
    assert "--input percent: int (1 to 100, default 25) · How much of the traffic?" in shown
    assert "--input env: str (one of eu, us)" in shown
    for typed, words in (
        (["percent=250"], "missing: env"),
        (["env=eu", "percent=250"], "input 'percent' must be at most 100, not 250"),
        (["env=mars"], "input 'env' must be one of eu, us, not 'mars'"),
    ):
        options = [part for one in typed for part in ("--input", one)]
        told = said(here.staunch("approve", run, "go-live", *options, code=1, who="grace"))
        assert told.endswith(words)
    assert len(here.show(run)["inputs"]) == 1
    here.staunch("approve", run, "go-live", "--input", "env=us", who="grace")
    assert here.ended(run)["output"] == {"percent": 25, "env": "us"}


def test_an_answer_that_could_not_be_kept_as_it_is_is_refused(here, repo):
    run = at_gate(here, repo, "await step.gate('go-live', inputs={'note': str})")
    long = "x" * SIGNAL_BYTES_MAX
    refused(here.answer(run, "go-live", inputs={"note": long}), 413, "the limit is 1,048,576")
    refused(here.answer(run, "go-live", approved=False, comment=long), 413, "the answer has")
    refused(here.call("POST", f"/runs/{run}/cancel", {"reason": long}), 413, "the reason has")
    assert here.answer(run, "go-live", inputs={"note": "\0 \N{SNOWMAN}"}).status == 200
    assert here.ended(run)["state"] == "succeeded"


def test_an_answer_that_meets_no_gate_is_told_where_to_look(here, repo):
    for unknown in ("1-00000000000000000000", "nonsense", "../x", "a/b", ""):
        told = said(here.staunch("approve", unknown, "go-live", code=4, who="grace"))
        assert f"here is no run {unknown!r}; `staunch runs` lists them" in told
    refused(here.answer("nonsense", "go-live"), 404, "no run 'nonsense'", "`staunch runs`")
    body = "await step.wait_for_event('ready')\nawait step.gate('go-live')"
    run = repo.plan(body)
    here.waiting(run, "signal ready")
    refused(here.answer(run, "go-live"), 409, "no gate now", f"`staunch show {run}`")
    here.staunch("signal", run, "ready")
    here.waiting(run, "gate go-live")
    told = said(here.staunch("approve", run, "golive", code=1, who="grace"))
    assert "gate 'golive'" in told
    assert "the run waits at: go-live" in told
    assert here.answer(run, "go-live").status == 200
    here.ended(run)
    refused(here.answer(run, "golive"), 409, f"run {run} is over: it succeeded")


def test_a_rejection_fails_the_run_and_the_persons_words_are_seen_everywhere(here, repo):
    commit = repo.pushed({FILE: plan(GATE)})
    run = here.run(commit)
    here.waiting(run, "gate go-live")
    words = "not on a Friday"
    told = said(here.staunch("reject", run, "go-live", "--comment", words, who="linus"))
    assert told == f"linus rejected gate go-live of run {run}"
    ended = here.ended(run)
    assert (ended["state"], ended["error"]["type"]) == ("failed", "GateRejected")
    reason = f"gate 'go-live' was rejected by linus: {words}"
    assert ended["error"]["message"] == reason
    shown = said(here.staunch("show", run))
    assert reason in shown
    assert f"go-live rejected by linus: {words}" in shown
    assert words in here.page(f"/runs/{run}")
    gate = here.verdict(commit, "staunch/pipeline/go-live")
    assert (gate.state, gate.description) == ("failure", reason)
    verdict = here.verdict(commit)
    assert (verdict.state, verdict.description) == ("failure", f"{FILE}:6: {reason}")
    refused(here.answer(run, "go-live"), 409, "answered already", "by linus", "it failed")


def test_a_plan_may_decide_what_a_rejection_means_and_the_words_are_still_shown(here, repo):
    body = f"""
try:
    {GATE}
except GateRejected as no:
    return [no.by, no.comment]
"""
    commit = repo.pushed({FILE: plan(body)})
    run = here.run(commit)
    here.waiting(run, "gate go-live")
    assert here.answer(run, "go-live", approved=False, comment="later").status == 200
    ended = here.ended(run)
    assert (ended["state"], ended["output"]) == ("succeeded", ["grace", "later"])
    assert "go-live rejected by grace: later" in said(here.staunch("show", run))
    assert here.verdict(commit, "staunch/pipeline/go-live").state == "failure"
    assert here.verdict(commit).state == "success"


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
    here.staunch("signal", run, "ready", '"again"', "--id", "one")
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
    refused(here.call("POST", path, long), 413, "the limit is 1,048,576")
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


def test_the_exit_code_says_what_kind_of_trouble_it_is(here, repo):
    run = repo.plan("return 1")
    here.ended(run)
    assert parsed(here.staunch("show", run, "--json"))["state"] == "succeeded"
    told = said(here.staunch("start", repo.name, "main", code=1))
    assert "no full commit id" in told
    assert "Missing argument" in said(here.staunch("approve", run, code=2))
    assert "No such option" in said(here.staunch("cancel", run, "--why", "x", code=2))
    assert "No such command" in said(here.staunch("aprove", run, code=2))
    told = said(here.staunch("runs", "--server", "http://127.0.0.1:1", code=3))
    assert "is `staunch up` running?" in told
    for command in ("show", "logs", "history", "cancel"):
        assert "here is no run 'nonsense'" in said(here.staunch(command, "nonsense", code=4))
    assert "not registered" in said(here.staunch("start", "e2e/nowhere", "0" * 40, code=4))


def test_a_wrong_token_is_refused_with_what_to_do(here, monkeypatch):
    monkeypatch.setitem(here.people, "stranger", "stn_" + "x" * 43)
    told = said(here.staunch("runs", code=1, who="stranger"))
    assert "does not know this token" in told
    assert "--token or STAUNCH_TOKEN" in told
    assert "`staunch token add`" in told
    refused(here.call("GET", "/runs", who="stranger"), 401, "unknown or revoked", "Bearer")
    for wrong in ("größe", " "):
        told = said(here.staunch("runs", "--token", wrong, code=1))
        assert "--token or STAUNCH_TOKEN" in told
