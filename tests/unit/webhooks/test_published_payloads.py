"""Every example payload that GitHub publishes: parsed, or ignored for a reason."""

import hashlib
import hmac
import json
from collections import Counter
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from pipelines.event import is_zero
from pipelines.repo import Connection, ForgeKind
from tests.published.packages import EXAMPLES, missing
from webhooks.forge import Ignored, ParsedEvent
from webhooks.memory import MemoryConnections, MemoryInbox
from webhooks.registry import FORGES, parse_delivery
from webhooks.routes import Hook, webhook_routes

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "it is there")

HUB = Connection(id="hub", kind=ForgeKind.GITHUB, secrets=["open, gate!"])
# Of github.com alone; what Enterprise Server sends comes on top.
EXAMPLES_OF_GITHUB = 329
# What starts something, or asks for something, by event; all other events are ignored by name.
HEARD = {"push", "pull_request", "check_run", "check_suite", "issue_comment", "release",
         "merge_group"}  # fmt: skip


def examples(server: str = "*") -> list[tuple[str, str, Any]]:
    """Server, event and payload of each."""
    return [
        (path.name.removesuffix("-index.json"), event["name"], payload)
        for path in sorted(EXAMPLES.folder.glob(f"{server}-index.json"))
        for event in json.loads(path.read_text())
        for payload in event["examples"]
    ]


def check(event: str, payload: Any) -> list[ParsedEvent] | Ignored:
    return FORGES[ForgeKind.GITHUB].parse(event, json.dumps(payload))


def test_every_example_is_parsed_or_ignored_for_a_reason():
    became = Counter()
    for server, event, payload in examples():
        parsed = check(event, payload)
        is_ignored = isinstance(parsed, Ignored)
        assert len(parsed.reason) > 20 if is_ignored else len(parsed) == 1
        assert event in HEARD or is_ignored, (server, event)
        became[server, "ignored" if is_ignored else event] += 1
    of_github = {what: count for (server, what), count in became.items() if "github" in server}
    assert sum(of_github.values()) == EXAMPLES_OF_GITHUB
    # None of what we take is ignored as a whole.
    assert set(of_github) >= {"push", "pull_request", "check_run", "check_suite", "release",
                              "merge_group", "ignored"}  # fmt: skip
    assert len({server for server, _ in became}) > 1


def test_a_push_of_an_example_is_its_ref_and_commit():
    pushes = [payload for _, event, payload in examples() if event == "push"]
    assert len(pushes) >= 7
    for payload in pushes:
        (parsed,) = check("push", payload)
        head = payload["head_commit"]
        wanted = "" if is_zero(payload["after"]) else head["id"] if head else payload["after"]
        event = parsed.event
        assert (event.ref, event.commit) == (payload["ref"], wanted)
        assert event.before == ("" if is_zero(payload["before"]) else payload["before"])
        assert parsed.external_id == str(payload["repository"]["id"])
        assert (parsed.name, event.forced) == (
            payload["repository"]["full_name"],
            payload["forced"],
        )


def test_a_pull_request_of_an_example_is_built_where_its_code_is_new_and_at_no_other_time():
    built = {"opened", "synchronize", "reopened", "ready_for_review"}
    for _, event, payload in examples():
        if event != "pull_request":
            continue
        parsed, pull = check(event, payload), payload["pull_request"]
        assert isinstance(parsed, Ignored) is (payload["action"] not in built), payload["action"]
        if isinstance(parsed, Ignored):
            continue
        told = parsed[0].event.pull_request
        head, base = pull["head"], pull["base"]
        assert told is not None
        assert (parsed[0].event.commit, told.base_commit) == (head["sha"], base["sha"])
        assert (told.head_ref, told.base_ref) == (head["ref"], base["ref"])
        assert told.is_fork is (head["repo"] is None or head["repo"]["id"] != base["repo"]["id"])
        assert told.labels == [label["name"] for label in pull["labels"]]


@pytest.mark.anyio
async def test_every_example_is_taken_at_the_door_and_read_from_the_inbox():
    inbox, app = MemoryInbox(), FastAPI()
    known = MemoryConnections(HUB)
    app.include_router(webhook_routes(Hook(connections=known, inbox=inbox, now=lambda: 0.0)))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        for number, (_, event, payload) in enumerate(examples("api*")):
            body = json.dumps(payload).encode()
            digest = hmac.new(HUB.secrets[0].encode(), body, hashlib.sha256).hexdigest()
            headers = {
                "content-type": "application/json",
                "x-github-event": event,
                "x-github-delivery": f"d-{number}",
                "x-hub-signature-256": f"sha256={digest}",
            }
            answer = await client.post("/hooks/hub", content=body, headers=headers)
            assert answer.status_code == (202 if event in HEARD else 200), (event, answer.text)
    assert {one.event for one in inbox.deliveries.values()} == HEARD
    for one in inbox.deliveries.values():
        parse_delivery(one)
