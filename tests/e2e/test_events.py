"""Events of runs, as programs outside get them: signed, in order, through the death of a host."""

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from tests.demo.installation import until
from tests.e2e.answers import at_gate, refused, said
from tests.e2e.installed import TIMEOUT_S
from webhooks.signature import verify_standard

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]


class Receiver:
    """Somebody's webhook. `code`: what it answers with; what it took is in `events`."""

    def __init__(self) -> None:
        self.code, self.secret = 204, ""
        self.events: list[dict] = []
        self.refused = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(self.headers, body)
                self.send_response(receiver.code)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/in"

    def take(self, headers, body: bytes) -> None:
        if self.code >= 300:
            self.refused += 1
            return
        signed = [headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")]
        # The hosts' clock and ours are one.
        verify_standard(*signed, body, secrets=[self.secret], now=int(signed[1]))
        self.events.append(json.loads(body))

    def types(self, run: str) -> list[str]:
        told = [one for one in self.events if one["subject"] == run]
        return [one["type"].removeprefix("dev.staunch.") for one in told]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    serving = threading.Thread(target=made.server.serve_forever, daemon=True)
    serving.start()
    yield made
    made.server.shutdown()
    made.server.server_close()


BODY = """
await step.gate('go-live')
await step.job('test', run='exit 3')
"""
WHOLE = ["run.started", "gate.waiting", "gate.answered", "step.failed", "run.finished"]


def test_a_subscriber_that_was_away_while_the_host_was_killed_hears_all_in_order(
    here, repo, receiver
):
    name = f"sub-{repo.connection}"[:60].replace("_", "-").rstrip("-")
    receiver.secret = here.staunch(
        "subscription", "add", receiver.url, "--name", name, "--repo", repo.name
    ).strip()
    assert said(here.staunch("subscription", "ping", name)) == f"{name} took it"
    assert receiver.events[-1]["type"] == "dev.staunch.ping"
    receiver.code = 503
    run = at_gate(here, repo, BODY)
    until("a call that is refused", lambda: receiver.refused, TIMEOUT_S)
    assert "it answered 503" in here.staunch("subscription", "list")
    here.answer(run, "go-live")
    here.ended(run)
    old = here.installation.pids()["host"]
    os.kill(old, signal.SIGKILL)
    receiver.code = 204
    until("all of it", lambda: len(receiver.types(run)) >= len(WHOLE), TIMEOUT_S)
    assert receiver.types(run) == WHOLE
    failed = receiver.events[-2]["data"]
    assert (failed["step"], failed["state"], failed["repo_name"]) == ("test", "failed", repo.name)
    here.staunch("subscription", "remove", name)
    assert name not in here.staunch("subscription", "list")
    # Another of the same name hears of what it asks for, from when it was made.
    receiver.secret = here.staunch(
        "subscription", "add", receiver.url, "--name", name, "--kind", "run.finished"
    ).strip()
    receiver.events.clear()
    other = here.repo(f"{repo.connection}-b"[:50]).plan("return 1")
    until("its end", lambda: receiver.types(other), TIMEOUT_S)
    assert receiver.types(other) == ["run.finished"] and not receiver.types(run)
    here.staunch("subscription", "remove", name)


def test_the_stream_goes_on_where_a_reader_left_it(here, repo):
    run = at_gate(here, repo, BODY)

    def told() -> list[dict] | None:
        found = here.get(f"/events?repo={repo.connection}/{repo.bare}&limit=500")["events"]
        return found if len(found) >= 2 else None

    first, second = until("two events", told, TIMEOUT_S)
    assert (first["type"], second["type"]) == (
        "dev.staunch.run.started",
        "dev.staunch.gate.waiting",
    )
    assert first["subject"] == run and first["data"]["url"].endswith(f"/runs/{run}")
    with Stream(here, f"/events/stream?repo={repo.name}&after=0") as lines:
        place, event = next(lines)
        assert event == first
    here.answer(run, "go-live")
    with Stream(here, f"/events/stream?repo={repo.name}", place) as lines:
        found = [next(lines)[1] for _ in range(len(WHOLE) - 1)]
    assert [one["type"].removeprefix("dev.staunch.") for one in found] == WHOLE[1:]
    printed = here.staunch("events", "--repo", repo.name).splitlines()
    assert [json.loads(line)["id"] for line in printed] == [first["id"], *(e["id"] for e in found)]


class Stream:
    """A context: server-sent events as (id, event) pairs."""

    def __init__(self, here, path: str, last: str = "") -> None:
        place = urlsplit(here.installation.url)
        self._http = http.client.HTTPConnection(place.hostname, place.port, timeout=TIMEOUT_S)
        headers = {"Authorization": f"Bearer {here.people['']}"}
        self._http.request(
            "GET", f"/api/v1{path}", headers=headers | ({"Last-Event-ID": last} if last else {})
        )

    def __enter__(self) -> Iterator[tuple[str, dict]]:
        answer = self._http.getresponse()
        assert answer.status == 200
        return self._pairs(answer)

    def _pairs(self, answer) -> Iterator[tuple[str, dict]]:
        place = ""
        for line in answer:
            text = line.decode().strip()
            if text.startswith("id:"):
                place = text[3:].strip()
            elif text.startswith("data:"):
                yield place, json.loads(text[5:])

    def __exit__(self, *_: object) -> None:
        self._http.close()


def test_what_cannot_be_subscribed_to_is_refused_with_the_reason(here, repo):
    def made(**changes):
        return here.call("POST", "/subscriptions", {"url": "http://127.0.0.1:1/", **changes})

    refused(made(url="gopher://x"), 422, "no http or https address")
    refused(made(url="http://127.0.0.1:99999"), 422, "there is no port 99999")
    refused(made(kinds=["run.exploded"]), 422, "run.started")
    refused(made(repos=["no/such"]), 404, "'no/such' is not registered")
    refused(made(id="Not An Id"), 422, "body.id")
    refused(here.call("POST", "/subscriptions/nobody/ping", {}), 404, "no 'nobody'")
    refused(here.call("GET", "/subscriptions", who="mallory"), 403, "may not change settings")
    first = made(id="twice")
    assert first.status == 201 and first.body["secret"].startswith("whsec_")
    refused(made(id="twice"), 409, "remove it, or name another")
    second = here.call("POST", "/subscriptions/twice/rotate-secret", {})
    assert second.body["secret"] != first.body["secret"]
    assert "secret" not in json.dumps(here.get("/subscriptions"))
    assert here.call("DELETE", "/subscriptions/twice").status == 200
    refused(here.call("DELETE", "/subscriptions/twice"), 404, "no 'twice'")


def test_who_sees_some_repositories_hears_of_those_alone(here, repo):
    run = at_gate(here, repo, BODY)
    body = {"name": "narrow", "repos": [repo.name], "scope": "read"}
    here.people["narrow"] = here.call("POST", "/tokens", body).body["secret"]

    def told() -> list[dict] | None:
        found = here.call("GET", "/events?limit=500", who="narrow").body["events"]
        return found if len(found) >= 2 else None

    assert {one["subject"] for one in until("its events", told, TIMEOUT_S)} == {run}
    other = here.repo(f"{repo.connection}-other"[:50])
    answer = here.call("GET", f"/events?repo={other.name}", who="narrow")
    refused(answer, 404, "is not registered")
