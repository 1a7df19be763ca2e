"""Gates answered from outside: who may, how often, how late; how a wrong answer is refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest

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
