"""A GitHub App from outside: a push, its check with all that the job said, and buttons pressed."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.app_keys import APP
from tests.contract.served_github import ServedGitHub
from tests.contract.strict_github import CheckRun
from tests.demo.installation import until
from tests.e2e.installed import FILE, TIMEOUT_S, Installed, Registered, installed, plan

pytestmark = [
    pytest.mark.xdist_group("e2e-github-app"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

PAYLOADS = Path(__file__).parent.parent / "forges" / "github"
SECRET = "of-the-webhook"
ID = 4711
NAME = "waterways/lock"
SAYS = r"""
echo '## Found' >> "$STAUNCH_SUMMARY"
for n in $(seq 1 50); do
    echo "{\"file\": \"a.py\", \"line\": $n, \"message\": \"no $n\"}" >> "$STAUNCH_ANNOTATIONS"
done
test "$PART" = good
"""


class Lock:
    """A repository at a strict GitHub, where an App is installed that is this host."""

    def __init__(self, here: Installed, served: ServedGitHub, repo: Registered) -> None:
        self.here, self.github, self.repo = here, served.github, repo
        body = {"id": "hub", "kind": "github", "api_url": served.url, "secret": SECRET}
        app = {"app": APP, "app_key": served.keys.private}
        made = here.call("PUT", "/connections", {**body, **app})
        assert made.status == 200, made
        kept = {"connection": "hub", "external_id": str(ID), "name": NAME}
        made = here.call("PUT", "/repos", {**kept, "clone_url": str(repo.bare)})
        assert made.status == 200, made
        self.deliveries = 0

    def call(self, event: str, payload: dict[str, Any]) -> dict[str, Any]:
        """What becomes of a webhook call of the App."""
        self.deliveries += 1
        delivery = f"d-{self.deliveries}"
        body = json.dumps({**payload, "repository": {"id": ID, "full_name": NAME}}).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "x-github-event": event,
            "x-github-delivery": delivery,
            "x-hub-signature-256": f"sha256={signature}",
            "content-type": "application/json",
        }
        answer = self.here._http.post("/hooks/hub", headers=headers, content=body)
        assert answer.status_code == 202, answer.text
        return self.here.outcome(delivery)

    def push(self, body: str) -> str:
        """A push to the branch `main`; answers the commit."""
        commit = self.repo.silent({FILE: plan(body)})
        (run,) = self.call("push", {"ref": "refs/heads/main", "after": commit})["runs"]
        assert run
        return commit

    def press(
        self, name: str, commit: str, pressed: dict[str, Any] | None = None, **changes: Any
    ) -> dict[str, Any]:
        """A button on a check, with one of the example payloads."""
        payload = json.loads((PAYLOADS / f"{name}.json").read_text()) | (pressed or {})
        event = name.partition("_re")[0]
        payload[event] |= {"head_sha": commit, **changes}
        return self.call(event, payload)

    def checks(self, commit: str, name: str = "staunch/pipeline") -> list[CheckRun]:
        """Those of that name on this commit so far."""
        found = [run for run in list(self.github.runs.values()) if run.fields["name"] == name]
        return [run for run in found if run.fields["head_sha"] == commit]

    def check(self, commit: str, conclusion: str, name: str = "staunch/pipeline") -> CheckRun:
        """The newest of them, once it has come to this and everything is told of it."""

        def look() -> CheckRun | None:
            found = self.checks(commit, name)
            is_there = bool(found) and found[-1].fields.get("conclusion") == conclusion
            return found[-1] if is_there else None

        return until(f"{name} on {commit} to be {conclusion}", look, TIMEOUT_S)


@pytest.fixture(scope="module")
def served() -> Iterator[ServedGitHub]:
    with ServedGitHub() as it:
        yield it


@pytest.fixture(scope="module")
def lock(served: ServedGitHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lock]:
    with installed(tmp_path_factory.mktemp("app")) as here:
        here.installation.data.chmod(0o711)
        yield Lock(here, served, here.repo("lock"))


JOBS = f"""
async def job(part):
    await step.job(part, run={SAYS!r}, env={{"PART": part}}, checkout=False)
await job("good")
await job("bad")
"""


def test_a_push_is_a_check_with_what_its_jobs_said_and_buttons_that_work(lock: Lock) -> None:
    commit = lock.push(JOBS)
    check = lock.check(commit, "failure")
    until("all annotations", lambda: len(check.annotations) == 100, TIMEOUT_S)
    assert {one["annotation_level"] for one in check.annotations} == {"warning"}
    output = check.fields["output"]
    assert "| `good` | succeeded |" in output["summary"]
    assert "### bad\n\n## Found" in output["summary"]
    assert check.fields["started_at"] <= check.fields["completed_at"]
    run = check.fields["external_id"]
    # The host's own button for what failed, and GitHub's for all of the commit.
    told = lock.press("check_run_requested_action", commit, external_id=run)
    (second,) = told["runs"]
    assert lock.here.ended(second)["attempt"] == 2
    until("its check", lambda: len(lock.checks(commit)) == 2, TIMEOUT_S)
    assert lock.check(commit, "failure").fields["external_id"] == second
    (third,) = lock.press("check_suite_rerequested", commit)["runs"]
    assert lock.here.ended(third)["attempt"] == 3
    assert [one["key"] for one in lock.here.show(second)["attempts"]] == ["bad"]
    assert [one["key"] for one in lock.here.show(third)["attempts"]] == ["good", "bad"]
    assert 422 not in lock.github.codes and 401 not in lock.github.codes


def test_a_run_is_not_begun_again_by_a_check_on_another_commit(lock: Lock) -> None:
    first, other = lock.push("return 1"), lock.push("return 2")
    run = lock.check(first, "success").fields["external_id"]
    told = lock.press("check_run_rerequested", other, external_id=run)
    assert (told["state"], told["runs"]) == ("ignored", [])
    assert f"there is no run {run} of {NAME} at {other}" in told["reason"]


def test_a_gate_asks_for_action_on_its_own_check_until_it_is_answered(lock: Lock) -> None:
    commit = lock.push('await step.gate("deploy", approvers=["grace"])')
    gate = lock.check(commit, "action_required", "staunch/pipeline/deploy")
    run = gate.fields["external_id"]
    assert f"staunch approve {run} deploy" in gate.fields["output"]["summary"]
    # The run waits for nobody else.
    assert lock.check(commit, "action_required").fields["output"]["title"] == "waits at deploy"
    assert lock.here.answer(run, "deploy").status == 200
    lock.check(commit, "success", "staunch/pipeline/deploy")
    lock.check(commit, "success")
    assert len(lock.checks(commit, "staunch/pipeline/deploy")) == 1


def test_a_gate_is_answered_with_a_button_on_its_check_by_who_may(lock: Lock) -> None:
    commit = lock.push('await step.gate("deploy")')
    gate = lock.check(commit, "action_required", "staunch/pipeline/deploy")
    approve, reject = [one["identifier"] for one in gate.fields["actions"]]
    run = gate.fields["external_id"]

    def press(identifier: str) -> dict[str, Any]:
        pressed = {"requested_action": {"identifier": identifier}}
        return lock.press("check_run_requested_action", commit, pressed, external_id=run)

    assert "only who may write" in press(reject)["reason"]
    lock.github.writers.add("ada")
    told = press(approve)
    assert (told["state"], told["reason"]) == (
        "done", f"ada@hub approved gate 'deploy' of run {run}"
    )  # fmt: skip
    lock.check(commit, "success", "staunch/pipeline/deploy")
    lock.check(commit, "success")
    assert "is not open any more" in press(reject)["reason"]
    assert 422 not in lock.github.codes


def test_a_host_killed_before_it_hears_that_its_check_was_made_makes_no_other(
    lock: Lock, served: ServedGitHub
) -> None:
    served.hold()
    held = served.held
    commit = lock.push("return 3")
    until("a check whose answer nobody hears", lambda: served.held > held, TIMEOUT_S)
    lock.here.installation.kill()
    served.release()
    lock.here.installation.start()
    lock.check(commit, "success")
    assert len(lock.checks(commit)) == 1


def test_the_app_is_given_on_the_command_line_and_its_key_shown_by_nobody(
    lock: Lock, served: ServedGitHub, tmp_path: Path
) -> None:
    file = tmp_path / "key.pem"
    file.write_text(served.keys.private)
    add = ("repo", "add", f"https://github.com/{NAME}.git", "--forge", "github", "--id", "5")
    app = ("--connection", "line", "--app-id", APP, "--app-key-file")
    said = lock.here.staunch(*add, *app, str(file))
    assert "In the App's settings, give the webhook" in said
    listed = lock.here.text("/connections")
    assert '"app":"4711"' in listed and "PRIVATE KEY" not in said + listed
    file.write_text("no key")
    assert "no RSA private key" in lock.here.staunch(*add, *app, str(file), code=1)
