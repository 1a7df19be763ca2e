"""Runs that are started with inputs, seen from outside: command line, API and page."""

import pytest

from tests.e2e.installed import FILE, Installed, Registered, parsed, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

ASKS = plan(
    "return event.inputs",
    top="on.manual(inputs={'percent': Input(int, default=25, max=100), 'env': ['eu', 'us']})",
)
WANTED = "percent: int (at most 100, default 25), env: str (one of eu, us)"


def test_a_start_by_hand_is_checked_before_it_is_accepted(
    here: Installed, repo: Registered
) -> None:
    """First by an engine, which fetches the commit; then by the host, which knows it."""
    commit = repo.silent({FILE: ASKS})
    for _ in range(2):
        said = here.staunch("start", repo.name, commit, code=1)
        assert f"the inputs of pipeline 'pipeline' are {WANTED}; missing: env" in said
        said = here.staunch("start", repo.name, commit, "--input", "env=mars", code=1)
        assert "input 'env' must be one of eu, us, not 'mars'" in said
        run = here.staunch("start", repo.name, commit, "--input", "env=eu").strip()
        assert here.ended(run)["output"] == {"percent": 25, "env": "eu"}
    assert here.show(run)["given"] == {"percent": 25, "env": "eu"}
    assert "--input percent=25" in here.staunch("show", run)
    assert "percent = 25 · env = eu" in here.page(f"/runs/{run}")
    assert len(here.runs(commit)) == 2


def test_the_api_takes_inputs_and_refuses_what_nobody_asked_for(
    here: Installed, repo: Registered
) -> None:
    commit = repo.silent({FILE: ASKS, ".staunch/plain.py": plan("return event.inputs")})
    wish = {"repo": repo.name, "commit": commit, "inputs": {"env": "us", "percent": 100}}
    made = here.call("POST", "/runs", wish)
    assert made.status == 201, made
    assert here.ended(made.body["runs"][0])["output"] == {"percent": 100, "env": "us"}
    refused = here.call("POST", "/runs", {**wish, "pipeline": "plain"})
    assert refused.status == 422
    assert "pipeline 'plain' takes no inputs" in refused.detail


def test_a_push_has_the_defaults(here: Installed, repo: Registered) -> None:
    source = ASKS.replace("on.manual", "on.push(); on.manual")
    run = here.run(repo.pushed({FILE: source}))
    assert here.ended(run)["output"] == {"percent": 25}
    assert parsed(here.staunch("show", run, "--json"))["given"] == {"percent": 25}
