"""Forks, seen from outside: command line, API, page, and the forge, which hears nothing."""

import pytest

from tests.e2e.installed import FILE, Installed, Registered, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

ASKS = "on.push(); on.manual(inputs={'percent': Input(int, default=25, max=100)})"
OLD = plan(
    "kept = await step.do('kept', lambda: 'of old')\n"
    "await step.job('build', run='exit 3')\n"
    "return [kept, event.inputs, event.commit]",
    top=ASKS,
)
NEW = OLD.replace("exit 3", "true").replace("of old", "of new")


def test_a_fork_has_other_inputs_or_other_code_and_both_runs_name_each_other(
    here: Installed, repo: Registered
) -> None:
    failed = repo.pushed({FILE: OLD})
    run = here.run(failed)
    assert here.ended(run)["state"] == "failed"
    assert here.verdict(failed).state == "failure"
    fixed = repo.silent({FILE: NEW})
    said = here.staunch("fork", run, "--input", "percent=5", "--key", "mine")
    other = said.split()[0]
    assert here.staunch("fork", run, "--input", "percent=5", "--key", "mine") == said
    assert here.ended(other)["state"] == "failed"
    said = here.staunch("fork", run, "--commit", fixed, "--from", "build", "--input", "percent=7")
    forked = said.split()[0]
    assert "with 1 of its results" in said
    assert here.ended(forked)["output"] == ["of old", {"percent": 7}, fixed]
    assert f"forked from {run}" in here.staunch("show", forked)
    shown = here.staunch("show", run)
    assert f"fork: {forked}" in shown and f"fork: {other}" in shown
    assert f'href="/runs/{run}"' in here.page(f"/runs/{forked}")
    assert f'href="/runs/{forked}"' in here.page(f"/runs/{run}")
    assert here.verdict(failed).state == "failure"
    assert here.told(fixed) == []


def test_what_cannot_be_forked_is_refused(here: Installed, repo: Registered) -> None:
    run = here.run(repo.pushed({FILE: OLD}))
    here.ended(run)
    said = here.staunch("fork", run, "--input", "percent=101", code=1)
    assert "input 'percent' must be at most 100" in said
    said = here.staunch("fork", run, "--from", "nothing", code=1)
    assert "there is no step 'nothing'; there are kept, build" in said
    said = here.staunch("fork", run, "--commit", "beef", code=1)
    assert "no full commit id" in said
    gone = here.call("POST", f"/runs/{run}/fork", {"commit": "b" * 40})
    assert gone.status == 422
