"""Environments that are only for some refs: what another run does not get, and how that is said."""

import json

import pytest

from tests.e2e.installed import FILE, Installed, Registered, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

DEPLOY = plan("""await step.job(
    "deploy", checkout=False, environment="production", id_token="sts.example.org", run="true"
)""")
BY_HAND = "somebody chose the commit of this run by hand"


def state_of(here: Installed, run: str) -> tuple[str, str]:
    shown = here.ended(run)
    return shown["state"], (shown["error"] or {}).get("message", "")


def test_only_runs_of_the_refs_of_a_rule_have_jobs_in_that_environment(
    here: Installed, repo: Registered
) -> None:
    named = ("production", "--repo", repo.name)
    said = here.staunch("environment", "set", *named, "--refs", "main", "--refs", "refs/tags/v*")
    assert said == f"environment production of {repo.name} is only for main, refs/tags/v*\n"
    pushed = here.run(repo.pushed({FILE: DEPLOY}))
    assert state_of(here, pushed) == ("succeeded", "")
    other = here.run(repo.pushed({FILE: DEPLOY + "# other"}, branch="other"))
    state, message = state_of(here, other)
    assert state == "failed"
    assert "environment production is only for main, refs/tags/v*" in message
    assert "this job is of refs/heads/other" in message
    [attempt] = here.show(other)["attempts"]
    assert (attempt["state"], attempt["runner"] or "") == ("refused", "")
    again = here.call("POST", f"/runs/{pushed}/rerun", {}).body["run"]
    assert state_of(here, again)[0] == "succeeded"
    fork = here.staunch("fork", pushed, "--key", "mine").split()
    forked = next(word for word in fork if word.startswith(("0-", "1-", "2-", "3-")))
    assert BY_HAND in state_of(here, forked)[1]
    here.installation.kill()
    here.installation.start()
    listed = json.loads(here.staunch("environment", "list", "--json"))
    [rule] = [one for one in listed if one["repo"] == repo.name]
    assert (rule["refs"], rule["by"]) == (["main", "refs/tags/v*"], "admin")
    here.staunch("environment", "set", *named, "--refs", "other", "--by-hand")
    later = here.call("POST", f"/runs/{other}/rerun", {}).body["run"]
    assert state_of(here, later)[0] == "succeeded"
    assert "may be named by every run" in here.staunch("environment", "remove", *named)
    last = here.call("POST", f"/runs/{again}/rerun", {}).body["run"]
    assert state_of(here, last)[0] == "succeeded"


def test_only_administrators_change_rules_of_environments(
    here: Installed, repo: Registered
) -> None:
    body = {"repo": repo.name, "environment": "production", "refs": ["main"]}
    assert here.call("PUT", "/environments", body, who="mallory").status == 403
    query = f"?repo={repo.name}&environment=production"
    assert here.call("DELETE", f"/environments{query}", who="mallory").status == 403
    assert here.call("PUT", "/environments", {**body, "refs": []}).status == 422
    assert here.call("PUT", "/environments", {**body, "refs": ["a b"]}).status == 422
    assert here.call("PUT", "/environments", {**body, "repo": "no/such"}).status == 404
