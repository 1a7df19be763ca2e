"""Pipelines that call pipelines, seen from outside: API, command line, page, and the forge."""

import pytest

from tests.e2e.installed import Installed, Registered, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

CALLER = plan("return await step.call('build', 'build', {'target': 'x86'})")
BUILD = plan(
    "target = event.inputs['target']\n"
    "done = await step.job('make', run='echo built for $TARGET', env={'TARGET': target})\n"
    "return [done.exit_code, target]",
    top="on.manual()",
)


def test_a_called_pipeline_is_a_run_of_its_own_and_tells_the_forge_nothing(
    here: Installed, repo: Registered
) -> None:
    commit = repo.pushed({".staunch/pipeline.py": CALLER, ".staunch/build.py": BUILD})
    parent = next(r["id"] for r in here.runs(commit) if not r["parent"])
    assert here.ended(parent)["output"] == [0, "x86"]
    (step,) = here.show(parent)["steps"]
    child = here.ended(step["child"])
    assert (child["parent"], child["parent_step"], child["pipeline"]) == (parent, "build", "build")
    assert child["state"] == "succeeded"
    assert f"called by {parent}" in here.staunch("show", child["id"])
    assert child["id"] in here.staunch("show", parent)
    assert f'href="/runs/{child["id"]}"' in here.page(f"/runs/{parent}")
    assert f'href="/runs/{parent}"' in here.page(f"/runs/{child['id']}")
    assert here.verdict(commit).state == "success"
    assert here.told(commit, "staunch/build") == []


def test_cancelling_the_caller_ends_what_it_called(here: Installed, repo: Registered) -> None:
    waits = plan("await step.wait_for_event('never')", top="on.manual()")
    commit = repo.pushed({".staunch/pipeline.py": CALLER, ".staunch/build.py": waits})
    parent = next(r["id"] for r in here.runs(commit) if not r["parent"])
    here.waiting(parent, "call build")
    (step,) = here.show(parent)["steps"]
    here.waiting(step["child"], "signal never")
    here.staunch("cancel", parent)
    assert here.ended(parent)["state"] == "cancelled"
    assert here.ended(step["child"])["state"] == "cancelled"


def test_a_later_push_cancels_the_run_of_the_earlier_one(here: Installed, repo: Registered) -> None:
    gated = plan(
        "if event.message == 'first':\n    await step.wait_for_event('never')\nreturn 'done'",
        top="on.concurrency(lambda event: event.branch, policy='cancel')",
    )
    first = here.run(repo.pushed({".staunch/pipeline.py": gated}, "first"))
    here.waiting(first, "signal never")
    second = here.run(repo.pushed({"README.md": "again"}, "second"))
    assert here.ended(first)["state"] == "cancelled"
    assert here.ended(second)["output"] == "done"


def test_a_run_that_queues_says_so(here: Installed, repo: Registered) -> None:
    gated = plan("await step.wait_for_event('go')", top="on.concurrency('one')")
    first = here.run(repo.pushed({".staunch/pipeline.py": gated}, "first"))
    here.waiting(first, "signal go")
    second = here.run(repo.pushed({"README.md": "again"}, "second"))
    here.waiting(second, "concurrency group one")
    here.staunch("signal", first, "go")
    here.waiting(second, "signal go")
    here.staunch("signal", second, "go")
    assert here.ended(second)["state"] == "succeeded"
