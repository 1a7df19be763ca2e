"""A run that comes near to a limit: people are told, and it can go on as a new one."""

import pytest

from tests.demo.installation import until
from tests.e2e.answers import said
from tests.e2e.installed import parsed
from tests.patience import PATIENCE_S

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]


COUNTS = """
part = event.inputs.get("part", 1)
for many in (7_000, 5_500):
    for _ in range(many):
        await step.do("count", int)
    await step.wait_for_event("go", timeout="30m")
if step.usage.is_high and part < 2:
    step.continue_as_new({"part": part + 1})
"""


def listed(here, run):
    """The run as lists show it: without its thousands of steps."""
    return next((one for one in here.get("/runs")["runs"] if one["id"] == run), None)


def until_it_waits_after(here, run, turns):
    """Until the run waits for its signal after so many turns."""

    def look():
        one = listed(here, run)
        return one is not None and one["turns"] == turns and one["waiting_for"] == "signal go"

    until(f"{run} to wait after {turns} turns", look, 2 * PATIENCE_S)


def test_a_run_near_a_limit_is_warned_of_and_goes_on_as_a_new_one(here, repo):
    run = repo.plan(COUNTS)
    until_it_waits_after(here, run, 1)
    assert listed(here, run)["warnings"] == []
    here.staunch("signal", run, "go")
    until_it_waits_after(here, run, 2)
    words = "12,502 of at most 25,000 steps (50 %)"
    [near] = parsed(here.staunch("show", run, "--json"))["warnings"]
    assert (near["limit"], near["words"]) == ("steps", words)
    assert f"near a limit: {words}: go on as a new run" in said(here.staunch("show", run))
    assert words in here.page(f"/runs/{run}")
    here.staunch("signal", run, "go")

    def successor():
        return listed(here, run)["continued_as"]

    new = until("its successor", successor, 2 * PATIENCE_S)
    until_it_waits_after(here, new, 1)
    assert listed(here, new)["usage"]["steps"] == 7_001, "it counts from the beginning"
