"""Requests that are sent again: done once with a key, and not answered anew if nothing is new."""

import httpx2
import pytest

from tests.e2e.answers import refused
from tests.e2e.installed import FILE, Answer, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]


ASKS = "on.push(); on.manual(inputs={'percent': Input(int, default=25)})"
KEPT = "kept = await step.do('kept', lambda: 1)\nreturn [kept, event.inputs]"


def asked(
    here, method: str, path: str, body: object = None, who: str = "", **headers: str
) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.request(
        method,
        f"{here.installation.url}/api/v1{path}",
        json=body,
        headers={"Authorization": f"Bearer {here.people[who]}", **named},
        timeout=60,
    )


def made(here, path: str, body: object, key: str, who: str = "") -> dict:
    answer = asked(here, "POST", path, body, who, idempotency_key=key)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_start_a_rerun_and_a_fork_with_one_key_are_done_once(here, repo):
    run = repo.plan("return event.commit")
    commit = here.ended(run)["commit"]
    start = {"repo": repo.name, "commit": commit}
    first = made(here, "/runs", start, "one")
    # As structured fields write it.
    assert made(here, "/runs", start, '"one"') == first
    assert made(here, "/runs", start | {"key": "one"}, "") == first
    assert made(here, "/runs", start, "two") != first
    answer = asked(here, "POST", "/runs", start | {"key": "other"}, idempotency_key="one")
    refused(Answer(answer.status_code, answer.json()), 422, "name two keys")
    again = made(here, f"/runs/{run}/rerun", {}, "one")
    assert made(here, f"/runs/{run}/rerun", {}, "one") == again
    here.ended(again["run"])
    assert made(here, f"/runs/{run}/rerun", {}, "two")["attempt"] == again["attempt"] + 1
    fork = made(here, f"/runs/{run}/fork", {}, "one")
    assert made(here, f"/runs/{run}/fork", {}, "one") == fork


def taken(here, path: str, body: object, key: str, other: str) -> None:
    """The key was used for something else, which differs in this."""
    answer = asked(here, "POST", path, body, idempotency_key=key)
    said = (f"The key {key!r} was used before, for another request", f"its {other} differed")
    refused(Answer(answer.status_code, answer.json()), 422, *said)
    assert answer.json()["title"] == "A key of another request"


def test_a_key_of_another_start_of_kept_code_is_refused(here, repo):
    run = repo.plan(KEPT, ASKS)
    start = {"repo": repo.name, "commit": here.ended(run)["commit"]}
    first = made(here, "/runs", start, "one")
    # Whoever sends it, and with the default spelled out.
    assert made(here, "/runs", start | {"inputs": {"percent": 25}}, "one", "grace") == first
    taken(here, "/runs", start | {"inputs": {"percent": 5}}, "one", "inputs")
    taken(here, "/runs", start | {"priority": "high"}, "one", "priority")
    taken(here, "/runs", start | {"key": "one", "wait_s": 60}, "one", "wait_s")
    assert made(here, "/runs", start, "one") == first


def test_a_key_of_another_start_that_an_engine_prepares_is_refused(here, repo):
    commit = repo.silent({FILE: plan(KEPT, ASKS)})
    other = repo.silent({FILE: plan("return 2", ASKS)})
    start = {"repo": repo.name, "commit": commit, "ref": "refs/heads/main"}
    first = made(here, "/runs", start, "one")
    assert made(here, "/runs", start, "one", "grace") == first
    taken(here, "/runs", start | {"commit": other}, "one", "commit")
    taken(here, "/runs", start | {"pipeline": "other"}, "one", "pipeline")
    taken(here, "/runs", start | {"ref": "refs/heads/next"}, "one", "ref")
    taken(here, "/runs", start | {"inputs": {"percent": 5}}, "one", "inputs")
    taken(here, "/runs", start | {"commit": other, "priority": "low"}, "one", "commit and priority")
    here.ended(first["runs"][0])
    assert made(here, "/runs", start, "one") == first
    # It was not begun by the way either.
    assert here.get(f"/runs?commit={other}")["runs"] == []


def test_a_key_of_a_start_is_no_other_ones_whether_its_code_is_kept_or_not(here, repo):
    kept, later = (here.ended(repo.plan(f"return {n}", ASKS))["commit"] for n in (1, 2))
    other = repo.silent({FILE: plan("return 3", ASKS)})
    start = {"repo": repo.name, "commit": kept}
    first = made(here, "/runs", start, "one")
    taken(here, "/runs", start | {"commit": later}, "one", "commit")
    taken(here, "/runs", start | {"commit": other}, "one", "commit")
    taken(here, "/runs", start | {"pipeline": "other"}, "one", "pipeline")
    second = made(here, "/runs", start | {"commit": other}, "two")
    taken(here, "/runs", start, "two", "commit")
    assert made(here, "/runs", start, "one") == first
    assert made(here, "/runs", start | {"commit": other}, "two") == second
    assert len(here.get(f"/runs?commit={later}")["runs"]) == 1


def test_a_key_of_one_repository_is_not_that_of_its_mirror(here, repo):
    mirror = {
        "connection": repo.connection,
        "external_id": f"{repo.bare}/.",
        "name": f"{repo.name}-mirror",
        "clone_url": str(repo.bare),
    }
    assert here.call("PUT", "/repos", mirror).status == 200
    start = {"repo": repo.name, "commit": repo.silent({FILE: plan("return 1", ASKS)})}
    first = made(here, "/runs", start, "one")
    again = made(here, "/runs", start | {"repo": mirror["name"]}, "one")
    assert again != first
    assert made(here, "/runs", start, "one") == first
    assert made(here, "/runs", start | {"repo": mirror["name"]}, "one") == again


def test_a_key_of_another_rerun_or_fork_is_refused(here, repo):
    run = repo.plan(KEPT, ASKS)
    here.ended(run)
    other, third = (repo.silent({FILE: plan(f"return {n}", ASKS)}) for n in (2, 3))
    again = made(here, f"/runs/{run}/rerun", {}, "one")
    assert made(here, f"/runs/{run}/rerun", {}, "one", "grace") == again
    # A key of a rerun is of the run: another's knows nothing of it.
    here.ended(again["run"])
    assert made(here, f"/runs/{again['run']}/rerun", {}, "one")["run"] != again["run"]
    taken(here, f"/runs/{run}/rerun", {"failed_only": True}, "one", "choice of what is taken over")
    taken(here, f"/runs/{run}/rerun", {"priority": "high"}, "one", "priority")
    path = f"/runs/{run}/fork"
    own, its = made(here, path, {}, "one"), made(here, path, {"commit": other}, "two")
    assert made(here, path, {}, "one", "grace") == own
    assert made(here, path, {"commit": other}, "two", "grace") == its
    taken(here, path, {"priority": "low"}, "one", "priority")
    taken(here, path, {"commit": other}, "one", "commit")
    taken(here, path, {}, "two", "commit")
    taken(here, path, {"commit": third}, "two", "commit")
    taken(here, path, {"commit": other, "inputs": {"percent": 5}}, "two", "inputs")
    assert {fork["run"] for fork in here.show(run)["forks"]} == {own["run"], its["run"]}


def test_an_id_of_another_signal_is_refused(here, repo):
    run = repo.plan("return await step.wait_for_event('go')")
    here.waiting(run, "signal go")
    path = f"/runs/{run}/signals"
    for who in ("", "grace"):
        body = {"name": "other", "payload": 1}
        answer = asked(here, "POST", path, body, who, idempotency_key="one")
        assert answer.status_code == 202, answer.text
    taken(here, path, {"name": "other", "payload": True}, "one", "payload")
    taken(here, path, {"name": "go", "payload": 1}, "one", "name")
    assert asked(here, "POST", path, {"name": "go", "payload": 2}).status_code == 202
    assert here.ended(run)["output"] == 2


def test_what_has_not_changed_is_not_sent_again(here, repo):
    run = repo.plan("await step.gate('go')")
    here.waiting(run, "gate go")
    first = asked(here, "GET", f"/runs/{run}")
    tag = first.headers["etag"]
    same = asked(here, "GET", f"/runs/{run}", if_none_match=f'"other", {tag}')
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    here.answer(run, "go")
    here.ended(run)
    later = asked(here, "GET", f"/runs/{run}", if_none_match=tag)
    assert later.status_code == 200 and later.headers["etag"] != tag
    # Nobody learns by a tag what they may not read.
    stranger = httpx2.get(
        f"{here.installation.url}/api/v1/runs/{run}", headers={"If-None-Match": "*"}
    )
    assert stranger.status_code == 401
