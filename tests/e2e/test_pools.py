"""Pools for trusted changes and for others: a pull request from a fork runs where it may."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.demo.installation import until
from tests.e2e.installed import FILE, TIMEOUT_S, Installed, Registered, installed, plan

pytestmark = [
    pytest.mark.xdist_group("e2e-pools"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

EXAMPLE = Path(__file__).parent.parent / "forges" / "github" / "pull_request_fork.json"
SECRET = "of-the-webhook"
ASKS = plan('await step.job("build", run="true", checkout=False)', "on.pull_request()\non.push()\n")
DEPLOYS = ASKS.replace("checkout=False", 'checkout=False, pool="deploy"')


class Shop:
    """A repository on a forge like GitHub, where strangers open pull requests."""

    def __init__(self, here: Installed, repo: Registered) -> None:
        self.here, self.repo = here, repo
        self.example = json.loads(EXAMPLE.read_text())
        connection = {"id": "hub", "kind": "github", "api_url": here.forge.url}
        made = here.call("PUT", "/connections", {**connection, "token": "t", "secret": SECRET})
        assert made.status == 200, made
        external = str(self.example["repository"]["id"])
        body = {"connection": "hub", "external_id": external, "name": "acme/shop"}
        made = here.call("PUT", "/repos", {**body, "clone_url": str(repo.bare)})
        assert made.status == 200, made
        # This forge says nothing of pull requests: all of them are newcomers'.
        here.staunch("trust", "set", "--scope", "hub", "--newcomers", "own")

    def asked_to_pull(self, number: int, pipeline: str) -> str:
        """A stranger's pull request with this pipeline is opened; answers its run."""
        head = self.repo.commit({FILE: pipeline}, f"of a stranger {number}")
        self.repo.git("push", "-q", "origin", f"HEAD:refs/pull/{number}/head")
        payload = json.loads(EXAMPLE.read_text())
        pull = payload["pull_request"]
        payload["number"] = pull["number"] = number
        payload["action"] = "opened"
        pull["head"]["sha"] = head
        body = json.dumps(payload).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "x-github-event": "pull_request",
            "x-github-delivery": f"delivery-{number}",
            "x-hub-signature-256": f"sha256={signature}",
            "content-type": "application/json",
        }
        answer = self.here._http.post("/hooks/hub", headers=headers, content=body)
        assert answer.status_code == 202, answer.text
        return self.here.run(head)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(tmp_path_factory.mktemp("pools")) as it:
        it.installation.data.chmod(0o711)
        yield it


@pytest.fixture(scope="module")
def shop(here: Installed) -> Shop:
    return Shop(here, here.repo("shop"))


def attempt_of(here: Installed, run: str) -> dict[str, Any]:
    [attempt] = here.ended(run)["attempts"]
    return dict(attempt)


def test_without_rules_everybody_runs_where_they_ask_to(here: Installed, shop: Shop) -> None:
    assert here.staunch("pool", "list") == "Every pool takes everybody's jobs.\n"
    run = shop.asked_to_pull(1, ASKS)
    assert attempt_of(here, run)["state"] == "succeeded"


def test_a_strangers_job_is_refused_where_only_trusted_ones_run(
    here: Installed, shop: Shop
) -> None:
    said = here.staunch("pool", "set", "deploy", "--tier", "trusted")
    assert said == "pool deploy takes only jobs of trusted changes; others are refused\n"
    run = shop.asked_to_pull(2, DEPLOYS)
    ended = here.ended(run)
    assert ended["state"] == "failed"
    [attempt] = ended["attempts"]
    assert attempt["state"] == "refused"
    assert "staunch pool set deploy --tier trusted --untrusted-to POOL" in attempt["message"]
    # A rerun by somebody of the house does not make it a trusted one.
    again = here.staunch("rerun", run).split()[0]
    assert attempt_of(here, again)["state"] == "refused"


def test_a_strangers_job_is_sent_on_and_ours_stays(here: Installed, shop: Shop) -> None:
    words = ("--tier", "trusted", "--untrusted-to", "strangers")
    said = here.staunch("pool", "set", "default", *words)
    assert said == "pool default takes only jobs of trusted changes; others run in pool strangers\n"
    theirs = shop.asked_to_pull(3, ASKS)

    def held() -> str | None:
        said = (one["words"] for one in here.show(theirs)["waiting"])
        return next((one for one in said if "strangers" in one), None)

    waiting = until("the job to wait elsewhere", held, TIMEOUT_S)
    assert "no runner of pool strangers is alive, but of default" in waiting
    ours = shop.repo.plan('await step.job("build", run="true", checkout=False)')
    assert attempt_of(here, ours)["state"] == "succeeded"
    pools = {one["pool"]: one for one in here.get("/queue")["pools"]}
    assert (pools["strangers"]["waiting"], pools["default"]["tier"]) == (1, "trusted")
    # A rule that is removed holds for those that wait, too.
    said = here.staunch("pool", "remove", "default")
    assert said == "pool default takes everybody's jobs\n"
    assert attempt_of(here, theirs)["state"] == "succeeded"


def test_our_job_is_refused_where_strangers_run(here: Installed, shop: Shop) -> None:
    assert here.call("PUT", "/pools/strangers", {"tier": "untrusted"}).status == 200
    run = shop.repo.plan('await step.job("build", run="true", pool="strangers")')
    attempt = attempt_of(here, run)
    assert attempt["state"] == "refused"
    assert "its machines may be theirs by now; name another pool" in attempt["message"]


def test_a_job_that_asks_for_labels_runs_where_they_are(here: Installed, shop: Shop) -> None:
    asks = 'await step.job("build", run="true", labels=["linux", "x86"])'
    refused = attempt_of(here, shop.repo.plan(asks))
    assert refused["state"] == "refused"
    assert "no pool has the labels linux, x86" in refused["message"]
    said = here.staunch("pool", "set", "default", "--label", "x86", "--label", "linux")
    assert said == "pool default takes everybody's jobs; it has the labels linux, x86\n"
    assert attempt_of(here, shop.repo.plan(asks))["state"] == "succeeded"
    strange = shop.repo.plan(asks.replace("x86", "arm64"))
    message = attempt_of(here, strange)["message"]
    assert "no pool has the labels arm64, linux; pool default has all but arm64" in message
    here.staunch("pool", "remove", "default")


def test_a_label_takes_no_rule_away_and_a_rule_no_label(here: Installed) -> None:
    here.staunch("pool", "set", "vault", "--tier", "trusted", "--untrusted-to", "strangers")
    said = here.staunch("pool", "set", "vault", "--label", "gpu")
    assert said == (
        "pool vault takes only jobs of trusted changes; others run in pool strangers;"
        " it has the labels gpu\n"
    )
    said = here.staunch("pool", "set", "vault", "--tier", "trusted")
    assert said == (
        "pool vault takes only jobs of trusted changes; others are refused; it has the labels gpu\n"
    )
    here.staunch("pool", "remove", "vault")
    assert "vault" not in here.staunch("pool", "list")


def test_what_is_no_rule_is_refused_with_the_reason(here: Installed) -> None:
    wrong = {"tier": "untrusted", "untrusted_to": "default"}
    assert "only a pool for trusted jobs sends others on" in str(
        here.call("PUT", "/pools/default", wrong).body
    )
    assert here.call("PUT", "/pools/default", {"tier": "some"}).status == 422
    assert here.call("PUT", "/pools/default", {}).status == 422
    assert here.call("PUT", "/pools/default", {"labels": ["a b"]}).status == 422
    circle = {"tier": "trusted", "untrusted_to": "vault"}
    said = here.call("PUT", "/pools/vault", circle)
    assert said.status == 422
    assert "Pool vault takes only trusted ones itself" in str(said.body)
    assert here.call("PUT", "/pools/a.b", {"tier": "trusted"}).status == 422
    assert here.call("PUT", "/pools/default", {"tier": "trusted"}, who="grace").status == 403
    assert here.call("DELETE", "/pools/default", who="grace").status == 403
