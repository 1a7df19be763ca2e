"""Whoever was told that something happened to a run is shown it by the very next question."""

import pytest

from tests.e2e.installed import FILE, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
]

TIMES = 10


def test_a_run_that_was_waited_for_is_shown_as_over(here):
    commit = here.repo("waited").pushed({FILE: plan('return await step.wait_for_event("go")')})
    here.waiting(here.run(commit), "signal go")
    for number in range(TIMES):
        wish = {"repo": "e2e/waited", "commit": commit, "key": f"again-{number}"}
        (run,) = here.call("POST", "/runs", wish).body["runs"]
        here.waiting(run, "signal go")
        here.call("POST", f"/runs/{run}/signals", {"name": "go", "payload": number})
        assert here.get(f"/runs/{run}/wait")["over"]
        shown = here.show(run)
        assert (shown["state"], shown["output"]) == ("succeeded", number)
        assert [step["state"] for step in shown["steps"]] == ["succeeded"]
