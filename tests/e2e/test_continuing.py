"""Runs that continue as new, seen from outside: API, command line, page, and the forge."""

import pytest

from tests.e2e.installed import FILE, Installed, Registered, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

LINKS = plan(
    "n = event.inputs.get('n', 0)\n"
    "word = await step.wait_for_event('word')\n"
    "if n < 1:\n"
    "    step.continue_as_new({'n': n + 1})\n"
    "return [n, word]"
)


def test_a_chain_is_seen_on_both_its_runs_and_ends_as_one(
    here: Installed, repo: Registered
) -> None:
    commit = repo.pushed({FILE: LINKS})
    first = here.run(commit)
    here.waiting(first, "signal word")
    here.staunch("signal", first, "word", '"one"')
    assert here.ended(first)["state"] == "continued"
    second = here.show(first)["continued_as"]
    here.waiting(second, "signal word")
    # By the name that its sender knows.
    here.staunch("signal", first, "word", '"two"')
    assert here.ended(second)["output"] == [1, "two"]
    assert here.show(second)["continues"] == first
    over = here.call("GET", f"/runs/{first}/wait").body
    assert over == {"run": second, "state": "succeeded", "over": True}
    assert f"continued as {second}" in here.staunch("show", first)
    assert f"continues {first}" in here.staunch("show", second)
    assert f'href="/runs/{second}"' in here.page(f"/runs/{first}")
    assert f'href="/runs/{first}"' in here.page(f"/runs/{second}")
    assert here.verdict(commit).state == "success"
    assert [one.state for one in here.told(commit)] == ["pending", "pending", "success"]
