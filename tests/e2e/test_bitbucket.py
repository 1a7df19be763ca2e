"""Both Bitbuckets, from a signed webhook call to what their own status APIs hold at the end."""

import copy
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx2
import pytest

from tests.contract.strict_bitbucket import StrictBitbucket, StrictDataCenter
from tests.demo.installation import until
from tests.e2e.installed import FILE, TIMEOUT_S, Answer, Installed, plan, unique
from tests.payloads import PAYLOADS, event_of
from tests.repos import Repo

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

API = "/rest/api/latest"
PLACE = f"{API}/projects/WATER/repos/lock"
ADA = {"id": 12, "name": "ada@waterways.example", "slug": "ada_waterways.example"}
UUID = "8d3e1c7a-0b52-4f6e-9a41-5c2d7e90f1b3"
TOP = "on.push()\non.tag()\non.pull_request()\n"
QUICK = plan("return 'done'", TOP)


@contextmanager
def served(forge: Callable[[httpx2.Request], httpx2.Response]) -> Iterator[str]:
    """The URL under which a forge in memory answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = f"http://forge.example{self.path}"
            headers = dict(self.headers)
            answer = forge(httpx2.Request(self.command, url, headers=headers, content=body))
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_PUT = do_DELETE = do_POST

        def log_message(self, *_: object) -> None:
            """The test's output is its own."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Bitbucket:
    """A connection of one of the two kinds, and a repository on it that tells nobody by itself."""

    def __init__(self, here: Installed, checkout: Repo, kind: str, url: str) -> None:
        self.here, self.checkout = here, checkout
        self.connection = f"{kind}-{checkout.bare.parent.name}"
        body = {"id": self.connection, "kind": kind, "api_url": url, "token": "t0ken"}
        made = here.call("PUT", "/connections", body)
        assert made.status == 200, made
        self.secret = made.body["secret"]

    def register(self, external_id: str) -> Answer:
        """The answer to registering the repository under this id."""
        body = {"connection": self.connection, "external_id": external_id}
        more = {"name": "WATER/lock", "clone_url": str(self.checkout.bare)}
        return self.here.call("PUT", "/repos", {**body, **more})

    def call(self, name: str, change: Callable[[Any], object], delivery: str) -> int:
        """The answer to a webhook call with that payload, changed and signed."""
        payload = copy.deepcopy(PAYLOADS[name])
        change(payload)
        body = json.dumps(payload).encode()
        digest = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "content-type": "application/json",
            "x-event-key": event_of(name),
            "x-request-uuid": delivery,
            "x-request-id": delivery,
            "x-hub-signature": f"sha256={digest}",
        }
        answer = self.here._http.post(f"/hooks/{self.connection}", headers=headers, content=body)
        return answer.status_code


@pytest.fixture
def checkout(here: Installed, request: pytest.FixtureRequest) -> Repo:
    """A repository with a first commit."""
    folder = here.folder / unique(request.node.name)
    folder.mkdir(mode=0o711)
    made = Repo(folder)
    made.commit({"README.md": request.node.name})
    made.push()
    return made


def test_a_pull_request_of_cloud_is_built_though_its_commit_is_cut(
    here: Installed, checkout: Repo
) -> None:
    forge = StrictBitbucket("Bearer t0ken", {f"{{{UUID}}}"})
    with served(forge) as url:
        bitbucket = Bitbucket(here, checkout, "bitbucket", url)
        wrong = bitbucket.register("62")
        assert wrong.status == 422 and "UUID" in wrong.detail
        made = bitbucket.register(f"{{{UUID.upper()}}}")
        assert made.body["external_id"] == UUID
        commit = checkout.commit({FILE: QUICK})
        checkout.push("wider")

        def cut(payload: Any) -> None:
            payload["pullrequest"]["source"]["commit"]["hash"] = commit[:12]

        for delivery in ("pr-1", "pr-1", "pr-2"):
            assert bitbucket.call("bitbucket/pullrequest_created", cut, delivery) == 202
        assert here.outcome("pr-2")["runs"] == [here.run(commit)]
        assert here.ended(here.run(commit))["state"] == "succeeded"
        place = (f"{{{UUID}}}", commit, "staunch/pipeline (pull request)")
        until(
            "the build there",
            lambda: forge.builds.get(place, {}).get("state") == "SUCCESSFUL",
            TIMEOUT_S,
        )
    assert {place[1] for place in forge.builds} == {commit}


def test_a_tag_of_data_center_is_built_and_shown_at_its_commit(
    here: Installed, checkout: Repo
) -> None:
    forge = StrictDataCenter("t0ken", {"WATER/lock"}, is_older=True)
    with served(forge) as url:
        bitbucket = Bitbucket(here, checkout, "bitbucket-dc", url)
        assert bitbucket.register("WATER/lock").status == 422
        assert bitbucket.register("62").status == 200
        commit = checkout.commit({FILE: QUICK})
        checkout.git("tag", "-a", "-m", "one", "v1.2.0")
        checkout.git("push", "-q", "origin", "v1.2.0")
        tag = checkout.git("rev-parse", "v1.2.0")

        def pushed(payload: Any) -> None:
            (change,) = (c for c in payload["changes"] if c["refId"] == "refs/tags/v1.2.0")
            payload["changes"] = [{**change, "toHash": tag}]

        assert bitbucket.call("bitbucket_dc/diagnostics_ping", lambda _: None, "ping") == 200
        assert bitbucket.call("bitbucket_dc/push_many", pushed, "tag-1") == 202
        assert here.ended(here.run(commit))["state"] == "succeeded"
        place = (commit, "staunch/pipeline (tag)")
        until(
            "the build there",
            lambda: forge.builds.get(place, {}).get("state") == "SUCCESSFUL",
            TIMEOUT_S,
        )
    assert {commit for commit, _ in forge.builds} == {commit} != {tag}


def test_a_fork_of_data_center_is_built_when_a_comment_of_somebody_who_may_write_lets_it(
    here: Installed, checkout: Repo
) -> None:
    forge = StrictDataCenter("t0ken", {"WATER/lock"})
    commit = checkout.commit({FILE: QUICK})
    stranger = {"id": 77, "name": "sam", "slug": "sam"}
    forge.told = {
        f"{PLACE}/pull-requests/7": {
            "state": "OPEN",
            "author": {"user": stranger},
            "fromRef": {"id": "refs/heads/x", "latestCommit": commit, "repository": {"id": 91}},
            "toRef": {"id": "refs/heads/main", "latestCommit": commit, "repository": {"id": 62}},
        },
        f"{PLACE}/pull-requests": {"values": []},
        f"{API}/users": {"values": []},
        f"{API}/users/{ADA['slug']}": ADA,
    }

    def look(number: int) -> None:
        checkout.git("push", "-q", "origin", f"HEAD:refs/pull-requests/{number}/from")

    def latest(payload: Any) -> None:
        payload["pullRequest"]["fromRef"]["latestCommit"] = commit

    name = "bitbucket_dc/pr_from_ref_updated_fork"
    with served(forge) as url:
        bitbucket = Bitbucket(here, checkout, "bitbucket-dc", url)
        assert bitbucket.register("62").status == 200
        assert bitbucket.call(name, latest, "unseen") == 202
        told = here.outcome("unseen")
        assert told["state"] == "ignored" and "is not there yet" in told["reason"]
        assert forge.builds == {}
        forge.look = look
        assert bitbucket.call(name, latest, "seen") == 202
        # Of its author nothing was ever merged, so that somebody has to read it first.
        assert here.outcome("seen")["state"] == "held"

        def lets(payload: Any) -> None:
            payload["pullRequest"]["id"] = 7
            payload["comment"]["text"] = f"/staunch ok-to-test {commit}"

        assert bitbucket.call("bitbucket_dc/pr_comment_added", lets, "by-a-reader") == 202
        told = here.outcome("by-a-reader")
        assert told["state"] == "ignored" and "may not, as the forge says" in told["reason"]
        forge.told[f"{API}/users"] = {"values": [ADA]}
        assert bitbucket.call("bitbucket_dc/pr_comment_added", lets, "by-a-writer") == 202
        run = here.ended(here.run(commit))
        assert (run["state"], run["ref"]) == ("succeeded", "refs/pull-requests/7/from")
        until("the report there", lambda: bool(forge.insights.reports), TIMEOUT_S)
    ((_, report),) = forge.insights.reports.items()
    assert (report.body["title"], report.body["result"]) == (
        "staunch/pipeline (pull request)",
        "PASS",
    )


def test_the_command_line_registers_both_and_says_which_id_is_none(here: Installed) -> None:
    cloud = ("repo", "add", "https://bitbucket.org/acme/shop.git", "--forge", "bitbucket")
    said = here.staunch(*cloud, "--name", "acme/shop", "--id", f"{{{UUID}}}")
    assert "acme/shop is registered" in said and "/hooks/bitbucket" in said
    said = here.staunch(*cloud, "--name", "acme/shop", "--id", "acme/shop", code=1)
    assert "UUID" in said
    center = ("repo", "add", "https://dc.example/scm/shop/web.git", "--forge", "bitbucket-dc")
    said = here.staunch(*center, "--name", "SHOP/web", "--id", "7")
    assert "/hooks/bitbucket-dc" in said
