"""Who did what: every act that changes something is recorded, with no value in it."""

import json
import time

import httpx2
import pytest

from tests.e2e.installed import Installed, Registered

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

VALUE = "a value that nobody shows"


def acts(here: Installed, limit: int = 500) -> list[dict[str, object]]:
    found: list[dict[str, object]] = here.get(f"/audit?limit={limit}")["acts"]
    return found


def test_each_act_is_recorded_with_who_what_on_which_when_and_from_where(
    here: Installed, repo: Registered
) -> None:
    run = repo.plan("await step.gate('go')\nawait step.gate('more')")
    here.waiting(run, "gate go")
    before = time.time()
    assert here.answer(run, "go", approved=True, comment=VALUE).status == 200
    (told,) = [one for one in acts(here) if one["on"].get("run") == run]  # type: ignore[attr-defined]
    assert (told["by"], told["act"]) == ("grace", "POST /api/v1/runs/{run}/gates/{key:path}")
    assert told["on"] == {"run": run, "key": "go", "approved": "True"}
    assert (told["address"], told["status"]) == ("127.0.0.1", 200)
    assert before - 5 <= float(str(told["at"])) <= time.time() + 5
    # A page's button is an act as any other.
    here.waiting(run, "gate more")
    cookie = {"Cookie": f"staunch_token={here.people['linus']}", "sec-fetch-site": "same-origin"}
    form = {"key": "more", "decision": "reject", "comment": VALUE}
    url = f"{here.installation.url}/runs/{run}/gates"
    assert httpx2.post(url, data=form, headers=cookie).status_code == 303
    newest = acts(here, 1)[0]
    assert (newest["by"], newest["act"]) == ("linus", "POST /runs/{run}/gates")
    assert newest["on"] == {"key": "more", "decision": "reject", "run": run}
    assert VALUE not in json.dumps(acts(here))


def test_of_a_secret_the_name_is_recorded_and_never_the_value(
    here: Installed, repo: Registered
) -> None:
    body = {"name": "AUDITED", "value": VALUE, "repo": repo.name}
    assert here.call("PUT", "/secrets", body).status == 200
    newest = acts(here, 1)[0]
    assert newest["act"] == "PUT /api/v1/secrets"
    assert newest["on"] == {"repo": repo.name, "name": "AUDITED"}
    assert VALUE not in json.dumps(acts(here))
    printed = here.staunch("audit", "--limit", "1")
    assert f"PUT /api/v1/secrets\trepo={repo.name} name=AUDITED\t127.0.0.1" in printed


def test_what_was_refused_or_only_read_is_no_act(here: Installed, repo: Registered) -> None:
    run = repo.plan("await step.gate('go', approvers=['@none'])")
    here.waiting(run, "gate go")
    known = acts(here)
    assert here.answer(run, "go").status == 403
    assert here.call("POST", "/tokens", {"name": "x"}, who="grace").status == 403
    assert here.call("GET", "/tokens").status == 200
    assert here.call("POST", f"/runs/{run}/cancel", {}, who="mallory").status == 202
    (new,) = acts(here)[: len(acts(here)) - len(known)]
    assert (new["by"], new["act"]) == ("mallory", "POST /api/v1/runs/{run}/cancel")


def test_the_log_is_read_page_by_page_by_administrators_alone(here: Installed) -> None:
    for name in ("p1", "p2", "p3", "p4", "p5"):
        here.call("POST", "/tokens", {"name": name})
    assert here.call("GET", "/audit", who="grace").status == 403
    first = here.get("/audit?limit=2")
    second = here.get(f"/audit?limit=2&before={first['next']}")
    names = [one["on"]["name"] for page in (first, second) for one in page["acts"]]
    assert names == ["p5", "p4", "p3", "p2"]
    everything = here.get("/audit?limit=500")
    assert everything["next"] is None
    last = here.staunch("audit", "--limit", "2").splitlines()[-1]
    assert last == f"older ones: staunch audit --before {first['next']}"
    assert "name=p3" in here.staunch("audit", "--limit", "2", "--before", str(first["next"]))


def test_the_terminal_filters_what_was_done_and_what_runs(
    here: Installed, repo: Registered
) -> None:
    run = repo.plan("await step.gate('go')")
    here.waiting(run, "gate go")
    assert here.call("POST", f"/runs/{run}/cancel", {}, who="mallory").status == 202
    printed = here.staunch("audit", "--by", "mallory", "--act", "cancel", "--about", run)
    assert f"run={run}" in printed and len(printed.splitlines()) == 1
    assert here.staunch("audit", "--by", "nobody") == ""
    listed = here.staunch("runs", "--repo", repo.name, "--branch", "main", "--since", "1h")
    assert run in listed
    assert "No run is like this." in here.staunch("runs", "--sender", "nobody", "--event", "push")
    told = here.staunch("runs", "--since", "yesterday", code=1)
    assert "'yesterday' is no time: write a day" in " ".join(told.split())
    view = {"name": "gone", "filters": {"state": "cancelled", "repo": repo.name}}
    assert here.call("PUT", "/views", view).status == 200
    told = here.staunch("runs", "--view", "none", code=4)
    assert "You have saved no view 'none'" in " ".join(told.split())
    found = json.loads(here.staunch("runs", "--view", "gone", "--json"))["runs"]
    assert {one["state"] for one in found} <= {"cancelled"}
