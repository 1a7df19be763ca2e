"""Strangers' pull requests: whose pipeline runs on them, and who must look at them first."""

import hashlib
import hmac
import json
import threading
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.demo.installation import until
from tests.e2e.installed import FILE, TIMEOUT_S, Installed, Registered, installed, plan
from tests.pull_forge import REPO, REPO_ID, TOKEN, PullForge

pytestmark = [
    pytest.mark.xdist_group("e2e-trust"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

EXAMPLE = Path(__file__).parent.parent / "forges" / "github" / "pull_request_fork.json"
SECRET = "of-the-webhook"
TOP = "on.pull_request()\non.push()\n"
OURS = plan("return {'whose': 'ours', 'files': 'a'}", TOP)
THEIRS = plan("return {'whose': 'theirs'}", TOP)
FORK = 4242
# The name of what is told of a pull request as a whole.
OF_PULLS = "staunch (pull request)"


class Hub:
    """A repository whose forge answers questions about its pull requests."""

    def __init__(self, here: Installed, repo: Registered, forge: PullForge) -> None:
        self.here, self.repo, self.forge = here, repo, forge
        connection = {"id": "hub", "kind": "github", "api_url": forge.url}
        made = here.call("PUT", "/connections", {**connection, "token": TOKEN, "secret": SECRET})
        assert made.status == 200, made
        body = {"connection": "hub", "external_id": str(REPO_ID), "name": REPO}
        made = here.call("PUT", "/repos", {**body, "clone_url": str(repo.bare)})
        assert made.status == 200, made
        self.main = repo.commit({FILE: OURS}, "ours")
        repo.git("push", "-q", "origin", "HEAD:refs/heads/main")

    def change(
        self,
        number: int,
        *,
        login: str,
        fork: int | None = FORK,
        theirs: str = THEIRS,
        **said: Any,
    ) -> str:
        """A pull request with a pipeline of its own, known to the forge; answers its commit."""
        text = f"{theirs}# {number} {len(self.forge.told)} {said}\n"
        head = self.repo.commit({FILE: text}, f"change {number}")
        self.repo.git("push", "-q", "-f", "origin", f"HEAD:refs/pull/{number}/head")
        self.repo.git("reset", "-q", "--hard", self.main)
        self.forge.open(number, head, login=login, head_repo=fork, **said)
        return head

    def told(
        self, number: int, head: str, delivery: str, *, is_fork: bool = True
    ) -> dict[str, Any]:
        """The webhook of it; answers what became of the delivery."""
        payload = json.loads(EXAMPLE.read_text())
        pull = payload["pull_request"]
        payload["repository"]["id"] = REPO_ID
        payload["number"] = pull["number"] = number
        payload["action"] = "synchronize"
        pull["head"]["sha"] = head
        pull["base"]["repo"]["id"] = REPO_ID
        pull["base"]["ref"] = "main"
        pull["head"]["repo"] = {"id": FORK if is_fork else REPO_ID}
        return self._delivered("pull_request", payload, delivery)

    def commented(
        self, number: int, text: str, by: str, delivery: str, comment: str = ""
    ) -> dict[str, Any]:
        """The webhook of a comment, one for each delivery if none is said, that was written just
        now; answers what became of the delivery."""
        payload = json.loads(EXAMPLE.with_name("issue_comment_rerun.json").read_text())
        payload["repository"]["id"] = REPO_ID
        payload["issue"]["number"] = number
        payload["comment"] |= {
            "body": text,
            "user": {"login": by},
            "id": zlib.crc32((comment or delivery).encode()),
            "created_at": datetime.now(UTC).isoformat(),
        }
        return self._delivered("issue_comment", payload, delivery)

    def _delivered(self, event: str, payload: dict[str, Any], delivery: str) -> dict[str, Any]:
        body = json.dumps(payload).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "x-github-event": event,
            "x-github-delivery": delivery,
            "x-hub-signature-256": f"sha256={signature}",
            "content-type": "application/json",
        }
        answer = self.here._http.post("/hooks/hub", headers=headers, content=body)
        assert answer.status_code == 202, answer.text
        return until(f"the outcome of {delivery}", lambda: self.outcome(delivery), TIMEOUT_S)

    def outcome(self, delivery: str) -> dict[str, Any] | None:
        found = self.here.get("/deliveries")["deliveries"]
        return next(
            (one for one in found if one["id"] == delivery and one["state"] != "received"), None
        )

    def result(self, outcome: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        """The outcome's one run when it is over, and what its plan returned."""
        (run,) = outcome["runs"]
        ended = self.here.ended(run)
        return ended, ended["output"]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(tmp_path_factory.mktemp("trust")) as it:
        yield it


@pytest.fixture(scope="module")
def hub(here: Installed) -> Iterator[Hub]:
    with PullForge() as forge:
        yield Hub(here, here.repo("shop"), forge)


def test_on_a_strangers_change_runs_the_pipeline_of_the_branch_it_is_for(hub: Hub) -> None:
    head = hub.change(1, login="sam", association="CONTRIBUTOR")
    ended, output = hub.result(hub.told(1, head, "d-1"))
    assert output["whose"] == "ours"
    assert ended["commit"] == head
    assert ended["trust"]["tier"] == "untrusted"
    assert ended["trust"]["admission"] == "base"
    assert ended["trust"]["base"] == hub.main
    assert "its author may not write to this one" in ended["trust"]["why"]


def test_a_payload_that_calls_a_change_ours_is_not_believed(hub: Hub) -> None:
    head = hub.change(2, login="sam", association="CONTRIBUTOR")
    ended, output = hub.result(hub.told(2, head, "d-2", is_fork=False))
    assert output["whose"] == "ours"
    assert ended["trust"]["tier"] == "untrusted"


def test_a_change_from_a_branch_of_the_repository_is_trusted(hub: Hub) -> None:
    head = hub.change(3, login="ada", fork=REPO_ID)
    ended, output = hub.result(hub.told(3, head, "d-3", is_fork=False))
    assert output["whose"] == "theirs"
    assert ended["trust"]["tier"] == "trusted"


def test_a_newcomers_change_waits_until_somebody_approves_that_very_commit(hub: Hub) -> None:
    here, forge = hub.here, hub.forge
    head = hub.change(4, login="new", association="FIRST_TIME_CONTRIBUTOR")
    outcome = hub.told(4, head, "d-4")
    assert outcome["state"] == "held"
    assert outcome["runs"] == []
    assert f"staunch trust approve {REPO} 4 {head}" in outcome["reason"]
    until("the status", lambda: forge.statuses(head, OF_PULLS) == ["pending"], TIMEOUT_S)
    assert f"{REPO} #4 {head}" in here.staunch("trust", "held")
    page = here.page("/trust")
    assert head in page
    refused = here.call(
        "POST", "/trust/approvals", {"repo": REPO, "number": 4, "commit": head}, who="mallory"
    )
    assert (refused.status, refused.body["detail"]) == (
        403,
        "mallory may not approve changes of strangers: administrators do",
    )
    # What is pushed in the meantime is another commit, and nobody has looked at that one.
    newer = hub.change(4, login="new", association="FIRST_TIME_CONTRIBUTOR")
    hub.told(4, newer, "d-4b")
    late = here.call("POST", "/trust/approvals", {"repo": REPO, "number": 4, "commit": head})
    assert late.status == 409
    assert f"is at {newer} by now" in late.detail
    said = here.staunch("trust", "approve", REPO, "4", newer)
    run = said.split()[-1]
    ended = here.ended(run)
    assert ended["output"]["whose"] == "theirs"
    assert ended["trust"]["tier"] == "untrusted"
    assert ended["trust"]["by"]
    assert f"#4 {newer}" not in here.staunch("trust", "held")
    until(
        "the end of the wait",
        lambda: forge.statuses(newer, OF_PULLS) == ["pending", "success"],
        TIMEOUT_S,
    )
    again = here.call("POST", "/trust/approvals", {"repo": REPO, "number": 4, "commit": newer})
    assert again.body["runs"] == [run]


def test_a_comment_of_who_may_write_approves_runs_again_and_that_of_a_stranger_nothing(
    hub: Hub,
) -> None:
    hub.forge.permissions["lin"] = "write"
    head = hub.change(14, login="new", association="FIRST_TIME_CONTRIBUTOR")
    assert hub.told(14, head, "d-14")["state"] == "held"
    refused = hub.commented(14, f"/staunch ok-to-test {head}", "new", "c-1")
    assert (refused["state"], refused["runs"]) == ("ignored", [])
    assert "new may not, as the forge says" in refused["reason"]
    old = hub.commented(14, f"/staunch ok-to-test {hub.main}", "lin", "c-2")
    assert f"is at {head} by now" in old["reason"]
    ended, output = hub.result(hub.commented(14, f"/staunch ok-to-test {head}", "lin", "c-3"))
    assert output["whose"] == "theirs"
    assert (ended["trust"]["tier"], ended["trust"]["by"]) == ("untrusted", "lin (hub)")
    again, output = hub.result(hub.commented(14, "/staunch rerun", "lin", "c-4"))
    assert (again["commit"], output["whose"]) == (head, "theirs")
    assert again["id"] != ended["id"]
    replayed = hub.commented(14, "/staunch rerun", "lin", "c-4-replayed", comment="c-4")
    assert replayed["runs"] == [again["id"]] and "was seen to before" in replayed["reason"]
    late = hub.commented(14, "/staunch cancel", "lin", "c-5")
    assert "all of its runs are over" in late["reason"]
    # Under the pull request: each refusal with its reason, a thumb on what was done, and how it is.
    until("all answers", lambda: len(hub.forge.said(14, "answer")) == 3, TIMEOUT_S)
    assert "did nothing: `only who may write" in hub.forge.said(14, "answer")[0]
    thumbs = {zlib.crc32(one.encode()) for one in ("c-3", "c-4")}
    until("the thumbs", lambda: hub.forge.thumbs == thumbs, TIMEOUT_S)
    report = until("the comment", lambda: hub.forge.said(14, "report"), TIMEOUT_S)
    assert len(report) == 1 and f"`{head[:12]}`" in report[0]


def test_a_comment_opens_the_gate_that_waits_and_does_so_once(hub: Hub) -> None:
    hub.forge.permissions["lin"] = "write"
    gated = plan(
        "first = await step.gate('go live', approvers=['lin@hub'])\n"
        "second = await step.gate('and on', approvers=['lin@hub'])\n"
        "return first.by + second.by",
        TOP,
    )
    head = hub.change(16, login="ada", fork=REPO_ID, theirs=gated)
    (run,) = hub.told(16, head, "d-16", is_fork=False)["runs"]

    def waits_at(key: str) -> bool:
        waiting = hub.here.get(f"/runs/{run}")["waiting"]
        return [one["key"] for one in waiting if one["kind"] == "gate"] == [key]

    until("the first gate", lambda: waits_at("go live"), TIMEOUT_S)
    refused = hub.commented(16, "/staunch approve go-live", "lin", "c-16")
    assert "no gate 'go-live' waits; these do: " in refused["reason"]
    opened = hub.commented(16, "/staunch approve", "lin", "c-16b")
    assert (opened["state"], opened["runs"]) == ("done", [])
    assert opened["reason"] == f"lin@hub approved gate 'go live' of run {run}"
    until("the second gate", lambda: waits_at("and on"), TIMEOUT_S)
    replayed = hub.commented(16, "/staunch approve", "lin", "c-16b-replayed", comment="c-16b")
    assert "was seen to before" in replayed["reason"] and waits_at("and on")
    context = "staunch/pipeline (pull request)/and on"
    named = hub.commented(16, f"/staunch approve {context} {head}", "lin", "c-16c")
    assert named["state"] == "done", named
    assert hub.here.ended(run)["output"] == ["lin@hub", "lin@hub"]


def test_one_comment_follows_a_pull_request_from_its_first_failure_on(hub: Hub) -> None:
    failing = plan("await step.job('unit', run='echo the reason; exit 3')", TOP)
    ours: dict[str, Any] = {"login": "ada", "fork": REPO_ID}
    first = hub.change(15, theirs=plan("return 1", TOP), **ours)
    hub.result(hub.told(15, first, "d-15", is_fork=False))
    broken = hub.change(15, theirs=failing, **ours)
    ended, _ = hub.result(hub.told(15, broken, "d-15b", is_fork=False))

    def said(words: str) -> str | None:
        found = hub.forge.said(15, "report")
        return found[0] if found and words in found[0] else None

    text = until("the failure", lambda: said("1 of 1 failed"), TIMEOUT_S)
    assert "│ the reason\n" in text and "job `unit`" in text and f"/runs/{ended['id']})" in text
    # Nobody was told while all was well.
    assert broken[:12] in text and first[:12] not in text
    again = hub.change(15, theirs=plan("return 2", TOP), **ours)
    hub.result(hub.told(15, again, "d-15c", is_fork=False))
    text = until("the end", lambda: said("1 of 1 succeeded"), TIMEOUT_S)
    assert again[:12] in text and len(hub.forge.comments[15]) == 1


def test_a_policy_says_otherwise_for_a_repository_and_is_explained(hub: Hub) -> None:
    here = hub.here
    head = hub.change(5, login="mia", association="MEMBER")
    hub.forge.permissions["mia"] = "write"
    told = here.staunch("trust", "explain", REPO, "5")
    assert "its author may write to this one" in told
    assert "so: the pipeline of the branch it is for runs on it, without secrets" in told
    said = here.staunch(
        "trust", "set", "--scope", REPO, "--members", "trust", "--strangers", "refuse"
    )
    assert said == f"policy for {REPO}: members trust, strangers refuse, newcomers approval\n"
    assert "so: its own pipeline runs, as one of the repository's" in here.staunch(
        "trust", "explain", REPO, "5"
    )
    ended, output = hub.result(hub.told(5, head, "d-5"))
    assert output["whose"] == "theirs"
    assert ended["trust"]["tier"] == "trusted"
    refused = hub.change(6, login="sam", association="CONTRIBUTOR")
    outcome = hub.told(6, refused, "d-6")
    assert outcome["state"] == "ignored"
    assert "pull request 6 is not run: it is from another repository" in outcome["reason"]
    until("the status", lambda: hub.forge.statuses(refused, OF_PULLS) == ["error"], TIMEOUT_S)
    here.staunch("trust", "remove", "--scope", REPO)
    assert REPO not in here.staunch("trust", "policies")


def test_while_the_forge_cannot_be_asked_a_change_waits_and_then_is_judged(hub: Hub) -> None:
    head = hub.change(7, login="sam", association="CONTRIBUTOR")
    hub.forge.is_away = True
    before = len(hub.forge.asked)
    payload_outcome: dict[str, Any] = {}

    def come_back() -> bool:
        if len(hub.forge.asked) > before:
            hub.forge.is_away = False
        return bool(payload_outcome)

    thread = threading.Thread(target=lambda: payload_outcome.update(hub.told(7, head, "d-7")))
    thread.start()
    until("the question to be asked again", come_back, TIMEOUT_S)
    thread.join()
    assert hub.result(payload_outcome)[1]["whose"] == "ours"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"strangers": "perhaps"}, 422),
        ({"scope": "no/such"}, 404),
        ({"scope": "hub", "approvers": [""]}, 422),
    ],
)
def test_what_is_no_policy_is_refused(hub: Hub, body: dict[str, Any], status: int) -> None:
    assert hub.here.call("PUT", "/trust/policies", body).status == status
    assert hub.here.call("PUT", "/trust/policies", {}, who="grace").status == 403


def test_a_commit_that_is_cut_short_is_not_approved(hub: Hub) -> None:
    body = {"repo": REPO, "number": 4, "commit": "abc"}
    assert hub.here.call("POST", "/trust/approvals", body).status == 422
