"""Requests that are sent again: done once with a key, and not answered anew if nothing is new."""

import httpx2
import pytest

from tests.e2e.answers import refused
from tests.e2e.installed import Answer

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]


def asked(here, method: str, path: str, body: object = None, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.request(
        method,
        f"{here.installation.url}/api/v1{path}",
        json=body,
        headers={"Authorization": f"Bearer {here.people['']}", **named},
        timeout=60,
    )


def made(here, path: str, body: object, key: str) -> dict:
    answer = asked(here, "POST", path, body, idempotency_key=key)
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
