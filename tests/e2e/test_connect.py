"""One command from a repository's address to its first webhook call, against a forge that calls."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from tests.demo.installation import until
from tests.e2e.installed import FILE, TIMEOUT_S, Installed, installed, plan
from tests.patience import PATIENCE_S

pytestmark = [
    pytest.mark.xdist_group("e2e-connect"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
]

TOKEN = "of-an-administrator"


class CallingForge:
    """Gitea's API of one repository; asked to test a webhook, it sends the newest push, signed."""

    def __init__(self, clone_url: str) -> None:
        self.clone_url = clone_url
        self.head = ""
        self.is_admin = True
        self.hooks: dict[int, dict[str, Any]] = {}
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def _do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                given = self.headers.get("Authorization", "")
                call = (self.command, self.path.partition("?")[0])
                status, answer = forge.answer(call, given, json.loads(body or b"null"))
                content = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = _do

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, call: tuple[str, str], given: str, body: Any) -> tuple[int, object]:
        if given != f"token {TOKEN}":
            return 401, {"message": "token is required"}
        method, path = call
        place = "/api/v1/repos/acme/shop"
        if call == ("GET", place):
            return 200, {
                "id": 7,
                "full_name": "acme/shop",
                "clone_url": self.clone_url,
                "default_branch": "main",
                "permissions": {"admin": self.is_admin},
            }
        if call == ("GET", f"{place}/hooks"):
            return 200, [{"id": number, **hook} for number, hook in self.hooks.items()]
        if call == ("POST", f"{place}/hooks"):
            self.hooks[len(self.hooks) + 1] = body
            return 201, {"id": len(self.hooks)}
        if method == "PATCH" and path == f"{place}/hooks/1":
            self.hooks[1] |= body
            return 200, {"id": 1}
        if call == ("POST", f"{place}/hooks/1/tests"):
            threading.Thread(target=self._call).start()
            return 204, None
        return 404, {"message": "not found"}

    def _call(self) -> None:
        config = self.hooks[1]["config"]
        payload = {
            "ref": "refs/heads/main",
            "before": self.head,
            "after": self.head,
            "repository": {"id": 7, "full_name": "acme/shop"},
        }
        body = json.dumps(payload).encode()
        signature = hmac.new(config["secret"].encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "content-type": config["content_type"],
            "x-gitea-event": "push",
            "x-gitea-delivery": f"test-{len(self.hooks)}-{signature[:8]}",
            "x-gitea-signature": signature,
        }
        httpx2.post(config["url"], content=body, headers=headers, timeout=PATIENCE_S)

    def __enter__(self) -> "CallingForge":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(tmp_path_factory.mktemp("connect")) as it:
        yield it


def test_one_command_connects_a_repository_whose_test_call_is_its_first_run(
    here: Installed,
) -> None:
    repo = here.repo("origin")
    with CallingForge(str(repo.bare)) as forge:
        forge.head = repo.silent({FILE: plan("return 'first'")})
        words = ("connect", "gitea", f"{forge.url}/acme/shop", "--forge-token", TOKEN)
        said = here.staunch(*words)
        assert "acme/shop (7) is registered with gitea" in said
        assert "its webhook was made: " in said
        assert "Gitea was asked to send its newest push, and it arrived" in said
        assert "missing" not in said
        run = here.run(forge.head)
        assert here.ended(run)["output"] == "first"
        # Once more changes nothing but what has changed.
        assert "its webhook was brought up to date" in here.staunch(*words[:3])
        assert len(forge.hooks) == 1


def test_a_token_that_may_not_or_is_wrong_changes_nothing_and_says_what_to_do(
    here: Installed,
) -> None:
    repo = here.repo("other")
    with CallingForge(str(repo.bare)) as forge:
        body = {"kind": "gitea", "url": f"{forge.url}/acme/shop", "connection": "strange"}
        wrong = here.call("POST", "/connect", {**body, "token": "wrong"})
        assert (wrong.status, "401" in wrong.detail) == (422, True)
        forge.is_admin = False
        weak = here.call("POST", "/connect", {**body, "token": TOKEN})
        assert weak.status == 409
        assert "may read acme/shop, and not change its webhooks" in weak.detail
        known = here.get("/connections")["connections"]
        assert "strange" not in {one["id"] for one in known}
        assert here.call("POST", "/connect", {**body, "token": TOKEN}, who="grace").status == 403
        missing = here.call(
            "POST", "/connect", {**body, "url": f"{forge.url}/acme/none", "token": TOKEN}
        )
        assert "was not found" in missing.detail
        by_hand = here.call("POST", "/connect", {**body, "kind": "git", "token": TOKEN})
        assert by_hand.status == 422
        forge.is_admin = True
        taken = here.call(
            "POST", "/connect", {**body, "connection": repo.connection, "token": TOKEN}
        )
        assert taken.status == 409
        assert "name this one with --connection" in taken.detail


def test_a_webhook_that_does_not_arrive_is_said_to_be_missing(here: Installed) -> None:
    repo = here.repo("silent")
    with CallingForge(str(repo.bare)) as forge:
        forge._call = lambda: None  # type: ignore[method-assign]
        words = ("connect", "gitea", f"{forge.url}/acme/shop", "--forge-token", TOKEN)
        said = here.staunch(*words, "--connection", "mute")
        assert "missing: no webhook call was seen yet" in said
        assert "start Staunch with --base-url" in said
        until("the registration", lambda: "acme/shop" in here.staunch("repo", "list"), TIMEOUT_S)
