"""Answers: a run at a gate, and what is said to whoever may not or cannot answer it."""

GATE = "await step.gate('go-live', approvers=['@ops'])"


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
