"""Pushes that no webhook tells of are found by comparing refs, on a real installation."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from ci_host.adapters.nats.bus import connect
from ci_host.adapters.nats.sights import NatsSights
from ci_host.ref_ports import Sight
from tests.demo.installation import until
from tests.e2e.deaf import OPTIONS, apart, deafened, deliveries, seen, sight_of, sight_of_id
from tests.e2e.installed import (
    FILE,
    TIMEOUT_S,
    ZERO,
    Installed,
    Registered,
    installed,
    parsed,
    plan,
    unique,
)
from tests.pull_forge import REPO, REPO_ID, TOKEN, PullForge

pytestmark = [
    pytest.mark.xdist_group("lost_webhooks"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

ON_ALL = {FILE: plan("return [event.kind, event.ref]", "on.push()\non.tag()")}


@pytest.fixture(scope="module")
def here() -> Iterator[Installed]:
    """An installation that looks every two seconds."""
    with apart() as folder, installed(folder, *OPTIONS) as found:
        yield found


@pytest.fixture
def deaf(here: Installed, request: pytest.FixtureRequest) -> Registered:
    """A repository of the test's own, without its hook, whose first refs were seen."""
    return deafened(here, unique(request.node.name))


def test_a_push_whose_webhook_was_lost_is_built(here: Installed, deaf: Registered) -> None:
    commit = deaf.pushed(ON_ALL)
    run = here.ended(here.run(commit))
    assert run["output"] == ["push", "refs/heads/main"]
    assert here.verdict(commit).state == "success"
    seen(here, deaf, {"refs/heads/main": commit})
    (delivery,) = deliveries(here, deaf)
    assert (delivery["event"], delivery["runs"]) == ("staunch.reconciled", [run["id"]])


def lists_pulls(here: Installed, repo: str) -> bool:
    sight = sight_of_id(here, repo)
    return sight is not None and sight.pulls


def test_a_pull_request_whose_webhook_was_lost_is_built_once(
    here: Installed, deaf: Registered
) -> None:
    with PullForge() as forge:
        repo = f"hub/{REPO_ID}"
        said = {"id": "hub", "kind": "github", "api_url": forge.url, "token": TOKEN, "secret": "s"}
        assert here.call("PUT", "/connections", said).status == 200
        told = {"connection": "hub", "external_id": str(REPO_ID), "name": REPO}
        made = here.call("PUT", "/repos", {**told, "clone_url": str(deaf.bare)})
        assert made.status == 200, made
        top = "on.pull_request()\non.push()\n"
        base = deaf.pushed({FILE: plan("return event.pull_request.action", top)})
        forge.open(6, base, login="old", head_repo=REPO_ID)
        until("the first list", lambda: lists_pulls(here, repo), TIMEOUT_S)
        head = deaf.commit({FILE: plan("return [event.pull_request.action]", top)}, "a change")
        deaf.git("push", "-q", "origin", "HEAD:refs/pull/7/head")
        forge.open(7, head, login="sam", head_repo=REPO_ID)
        run = here.ended(here.run(head))
        assert run["output"] == ["opened"]
        asked = forge.unchanged
        until("a list that is as it was", lambda: forge.unchanged > asked + 1, TIMEOUT_S)
        assert len(here.runs(head)) == 1


def test_a_force_push_a_new_branch_and_tags_are_built_and_deletions_noted(
    here: Installed, deaf: Registered
) -> None:
    first = deaf.pushed(ON_ALL)
    here.run(first)
    deaf.git("commit", "-q", "--amend", "-m", "another history")
    forced = deaf.git("rev-parse", "HEAD")
    deaf.push("main", "--force")
    assert here.ended(here.run(forced))["output"] == ["push", "refs/heads/main"]
    branch = deaf.commit(ON_ALL, "of a branch")
    deaf.push("try/this")
    assert here.ended(here.run(branch))["output"] == ["push", "refs/heads/try/this"]
    tagged = deaf.commit(ON_ALL, "of a tag")
    deaf.git("tag", "-a", "-m", "a release", "v1.0")
    deaf.git("push", "-q", "origin", "v1.0")
    assert here.ended(here.run(tagged))["output"] == ["tag", "refs/tags/v1.0"]
    deaf.git("push", "-q", "origin", ":refs/heads/try/this", ":refs/tags/v1.0")
    seen(here, deaf, {"refs/heads/main": forced})
    until("six outcomes", lambda: len(deliveries(here, deaf)) == 6, TIMEOUT_S)
    gone = {delivery["reason"] for delivery in deliveries(here, deaf)[4:]}
    assert gone == {
        f"{ref} was deleted: there is nothing to build"
        for ref in ("refs/heads/try/this", "refs/tags/v1.0")
    }
    for commit in (first, forced, branch, tagged):
        assert len(here.runs(commit)) == 1


def test_what_was_there_before_the_first_look_is_not_built(here: Installed) -> None:
    repo = here.repo("before")
    (repo.bare / "hooks" / "post-receive").unlink()
    # Registered anew under another id, as a repository with a past.
    old = repo.pushed(ON_ALL)
    body = {"connection": repo.connection, "external_id": "past", "name": "e2e/past"}
    made = here.call("PUT", "/repos", {**body, "clone_url": str(repo.bare)})
    assert made.status == 200

    async def past() -> Sight | None:
        bus = await connect(here.installation.nats_url(), name="test")
        try:
            return (await NatsSights(bus).read(f"{repo.connection}/past"))[1]
        finally:
            await bus.close()

    until("its first look", lambda: asyncio.run(past()), TIMEOUT_S)
    new = repo.pushed(ON_ALL)
    until("the new one", lambda: "e2e/past" in repos_of(here, new), TIMEOUT_S)
    assert "e2e/past" not in repos_of(here, old)


def repos_of(here: Installed, commit: str) -> list[str]:
    """The names of the repositories that have a run of the commit."""
    return [run["repo_name"] for run in here.get(f"/runs?commit={commit}")["runs"]]


def test_a_webhook_that_comes_late_begins_no_second_run(here: Installed, deaf: Registered) -> None:
    commit = deaf.pushed(ON_ALL)
    run = here.run(commit)
    delivery, answer = here.hook(deaf, [(ZERO, commit, "refs/heads/main")])
    assert answer.status == 202
    assert here.outcome(delivery)["runs"] == [run]
    assert [one["id"] for one in here.runs(commit)] == [run]


def test_a_push_that_its_webhook_told_of_is_one_delivery(here: Installed) -> None:
    repo = here.repo("heard")
    seen(here, repo, {})
    commit = repo.pushed(ON_ALL)
    run = here.run(commit)
    seen(here, repo, {"refs/heads/main": commit})
    (delivery,) = deliveries(here, repo)
    assert (delivery["event"], delivery["runs"]) == ("push", [run])


def test_a_repository_that_does_not_answer_is_listed_with_the_reason_and_heard_again(
    here: Installed, deaf: Registered
) -> None:
    away = deaf.bare.with_suffix(".away")
    deaf.bare.rename(away)

    def row() -> dict[str, Any]:
        found = parsed(here.staunch("repo", "list", "--json"))["repos"]
        (one,) = [repo for repo in found if repo["name"] == deaf.name]
        return dict(one)

    told = until("its reason", lambda: row()["not_compared"], TIMEOUT_S)
    assert f"there is no repository at {deaf.bare}" in told["reason"]
    assert told["since"] > 0
    said = here.staunch("repo", "list")
    assert f"its refs are not compared: {told['reason']}" in said
    away.rename(deaf.bare)
    commit = deaf.pushed(ON_ALL)
    here.run(commit)
    assert row()["not_compared"] is None


def test_a_push_that_comes_while_everything_is_dead_is_built_by_a_restart_alone() -> None:
    with apart() as folder, installed(folder, *OPTIONS) as here:
        repo = deafened(here, "killed")
        first = repo.pushed(ON_ALL)
        here.ended(here.run(first))
        here.installation.kill()
        second = repo.pushed(ON_ALL, "meanwhile")
        here.installation.start()
        here.ended(here.run(second))
        seen(here, repo, {"refs/heads/main": second})
        assert [len(here.runs(commit)) for commit in (first, second)] == [1, 1]
        assert len(deliveries(here, repo)) == 2


def test_without_an_interval_nothing_is_compared_and_that_is_said() -> None:
    with apart() as folder, installed(folder, "--reconcile-s", "0") as here:
        repo = here.repo("unheard")
        (listed,) = here.get("/repos")["repos"]
        assert "--reconcile-s 0" in listed["not_compared"]["reason"]
        assert sight_of(here, repo) is None
