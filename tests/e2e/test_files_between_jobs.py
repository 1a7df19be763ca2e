"""Files from one job to the next of a run, on a real installation."""

import pytest

from tests.e2e.installed import Installed, Registered

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

PLAN = r"""
built = await step.job("build", run="mkdir dist; echo one > dist/a", artifacts={"dist": "dist"})
await step.wait_for_event("go")
await step.job("test", run="cat in/dist/a", files=[built.artifacts["dist"].into("in")])
return built.artifacts["dist"].size
"""


def test_files_of_a_job_are_there_for_another_also_after_every_process_was_killed(
    here: Installed, repo: Registered
) -> None:
    run = repo.plan(PLAN)
    here.waiting(run, "signal go")
    here.installation.kill()
    here.installation.start()
    here.staunch("signal", run, "go")
    shown = here.ended(run)
    assert (shown["state"], shown["output"]) == ("succeeded", 4), shown["error"]
    assert "\none\n" in here.staunch("logs", run, "test")
