import asyncio
import hashlib
import hmac
import json
import socket
import threading
import time
from urllib.parse import quote_plus

import httpx2
import msgspec
import pytest
import uvicorn
from fastapi import FastAPI

from pipelines.event import Event, EventKind
from pipelines.repo import Connection, ForgeKind
from webhooks.errors import Malformed
from webhooks.forge import Ignored
from webhooks.manual import MANUAL_EVENT, ManualStart
from webhooks.memory import MemoryConnections, MemoryInbox
from webhooks.registry import FORGES, parse_delivery
from webhooks.routes import BODY_BYTES_MAX, Hook, HooksFirst, webhook_routes
from webhooks.signature import sign_standard, standard_key

pytestmark = pytest.mark.anyio

SECRET = "open, gate!"
NOW = 1_700_000_000.0
CONNECTIONS = MemoryConnections(
    Connection(id="hub", kind=ForgeKind.GITHUB, secrets=["next", SECRET]),
    Connection(id="tea", kind=ForgeKind.GITEA, secrets=[SECRET]),
    Connection(id="bare", kind=ForgeKind.GIT, secrets=[SECRET]),
    Connection(id="open", kind=ForgeKind.GITHUB),
)


def app_with(inbox, **options) -> HooksFirst:
    hook = Hook(connections=CONNECTIONS, inbox=inbox, now=lambda: NOW, **options)
    app = FastAPI()
    app.include_router(webhook_routes(hook))
    return HooksFirst(hook, app)


def signed(body: bytes, **changes) -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "x-github-event": "push",
        "x-github-delivery": "d-1",
        "x-hub-signature-256": f"sha256={digest}",
    }
    headers.update({key.replace("_", "-"): value for key, value in changes.items()})
    return {key: value for key, value in headers.items() if value is not None}


async def check(inbox, body, headers, connection="hub", **options) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=app_with(inbox, **options))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post(f"/hooks/{connection}", content=body, headers=headers)


def assert_problem(answer, status):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"] and len(problem["detail"]) > 20


async def test_a_signed_push_is_recorded_as_it_came_and_accepted():
    inbox, body = MemoryInbox(), b'{"ref": "refs/heads/main", "n": 1.0}'
    answer = await check(inbox, body, signed(body))
    assert (answer.status_code, answer.json()) == (202, {"delivery": "d-1", "duplicate": False})
    (delivery,) = inbox.deliveries.values()
    assert (delivery.connection, delivery.id, delivery.event) == ("hub", "d-1", "push")
    assert (delivery.body, delivery.received_at) == (body.decode(), NOW)


async def test_the_same_delivery_again_is_accepted_and_recorded_once():
    inbox = MemoryInbox()
    for n in range(3):
        body = b'{"n": %d}' % n
        answer = await check(inbox, body, signed(body))
        assert (answer.status_code, answer.json()["duplicate"]) == (202, n > 0)
    assert [delivery.body for delivery in inbox.deliveries.values()] == ['{"n": 0}']


async def test_two_connections_may_use_the_same_delivery_id():
    inbox, body = MemoryInbox(), b"{}"
    gitea = {"x-gitea-event": "push", "x-gitea-delivery": "d-1"}
    gitea["x-gitea-signature"] = signed(body)["x-hub-signature-256"].removeprefix("sha256=")
    await check(inbox, body, signed(body))
    answer = await check(inbox, body, gitea, "tea")
    assert (answer.status_code, answer.json()["duplicate"]) == (202, False)
    assert len(inbox.deliveries) == 2


async def test_githubs_form_is_verified_as_sent_and_unwrapped():
    inbox, payload = MemoryInbox(), '{"ref": "refs/heads/a+b & c=d", "é": "%"}'
    body = b"payload=" + quote_plus(payload).encode()
    headers = signed(body, content_type="application/x-www-form-urlencoded; charset=utf-8")
    assert (await check(inbox, body, headers)).status_code == 202
    assert [delivery.body for delivery in inbox.deliveries.values()] == [payload]


@pytest.mark.parametrize(
    "changes",
    [
        {"x_hub_signature_256": None},
        {"x_hub_signature_256": ""},
        {"x_hub_signature_256": "sha256=" + "0" * 64},
        {"x_hub_signature_256": None, "x_hub_signature": "sha1=" + "0" * 40},
        {"x_hub_signature_256": None, "x_gitea_signature": "right"},
    ],
)
async def test_every_wrong_signature_gets_the_same_answer_and_leaves_nothing(changes):
    inbox, body = MemoryInbox(), b"{}"
    right = signed(body)["x-hub-signature-256"].removeprefix("sha256=")
    changes = {key: right if value == "right" else value for key, value in changes.items()}
    answer = await check(inbox, body, signed(body, **changes))
    assert_problem(answer, 401)
    assert answer.content == (await check(inbox, b"{ }", signed(body))).content
    assert answer.content == (await check(inbox, body, signed(body), "open")).content
    assert not inbox.deliveries


@pytest.mark.parametrize("forge", ["forgejo", "gitea"])
async def test_a_bad_primary_signature_is_not_rescued_by_another_header(forge):
    inbox, body = MemoryInbox(), b"{}"
    right = signed(body)["x-hub-signature-256"].removeprefix("sha256=")
    names = {"x-gitea-event": "push", "x-gitea-delivery": "d", "x-hub-signature-256": right}
    for wrong in ("", "0" * 64):
        headers = {**names, "x-gitea-signature": right, f"x-{forge}-signature": wrong}
        assert_problem(await check(inbox, body, headers, "tea"), 401)
    headers = {**names, "x-gitea-signature": right, "x-forgejo-signature": right}
    assert (await check(inbox, body, headers, "tea")).status_code == 202


async def test_plain_git_is_verified_with_its_time():
    inbox, body = MemoryInbox(), b"{}"

    def headers(at: int) -> dict[str, str]:
        signature = sign_standard("m-1", str(at), body, standard_key(SECRET))
        return {
            "webhook-id": "m-1",
            "webhook-timestamp": str(at),
            "webhook-signature": f"v1,{signature}",
        }

    assert (await check(inbox, body, headers(int(NOW)), "bare")).status_code == 202
    assert_problem(await check(inbox, body, headers(int(NOW) - 301), "bare"), 401)


async def test_an_unknown_connection_is_not_found():
    assert_problem(await check(MemoryInbox(), b"{}", signed(b"{}"), "nobody"), 404)


async def test_events_that_start_nothing_are_answered_with_the_reason_and_not_kept():
    inbox = MemoryInbox()
    for event in ("ping", "star", ""):
        answer = await check(inbox, b"{}", signed(b"{}", x_github_event=event))
        assert answer.status_code == 200
        assert answer.json()["ignored"].startswith("ignored, because ")
    assert not inbox.deliveries


MANUAL_BODY = msgspec.json.encode(
    ManualStart(
        external_id="1",
        name="a/b",
        event=Event(kind=EventKind.MANUAL, ref="refs/heads/main", commit="a" * 40, sender="ann"),
        pipeline="deploy",
    )
)


@pytest.mark.parametrize("connection", ["hub", "tea", "bare"])
async def test_nobody_outside_can_start_by_hand_even_with_the_right_secret(connection):
    """The host's own event name is none of any forge's; its body is none of any event's."""
    inbox, body = MemoryInbox(), MANUAL_BODY
    right = signed(body)["x-hub-signature-256"].removeprefix("sha256=")
    standard = sign_standard("d-1", str(int(NOW)), body, standard_key(SECRET))
    for event in (MANUAL_EVENT, MANUAL_EVENT.upper(), f" {MANUAL_EVENT}", "push"):
        headers = signed(
            body,
            x_github_event=event,
            x_gitea_event=event,
            x_gitea_delivery="d-1",
            x_gitea_signature=right,
            webhook_id="d-1",
            webhook_timestamp=str(int(NOW)),
            webhook_signature=f"v1,{standard}",
            webhook_event=event,
        )
        answer = await check(inbox, body, headers, connection)
        assert answer.status_code == (202 if event == "push" or connection == "bare" else 200)
    # What was kept is a push, which that body is not.
    (kept,) = inbox.deliveries.values()
    assert kept.event == "push"
    with pytest.raises(Malformed):
        parse_delivery(kept)


@pytest.mark.parametrize("kind", list(ForgeKind))
def test_no_forge_takes_the_hosts_own_event_for_one_of_its_own(kind):
    assert isinstance(FORGES[kind].ignores(MANUAL_EVENT), Ignored)
    assert isinstance(FORGES[kind].parse(MANUAL_EVENT, MANUAL_BODY), Ignored)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"hello", b"\xff{}", b'{"a":NaN}', b"{}{}", b'{"a":' + b"[" * 99_999]
)
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
async def test_what_is_not_a_json_object_is_refused_after_it_was_verified(body, kind):
    inbox = MemoryInbox()
    assert_problem(await check(inbox, body, signed(body, content_type=kind)), 400)
    assert not inbox.deliveries


@pytest.mark.parametrize("delivery", [None, "", "x" * 201, "a\tb"])
async def test_a_call_without_a_usable_delivery_id_is_refused(delivery):
    inbox = MemoryInbox()
    assert_problem(await check(inbox, b"{}", signed(b"{}", x_github_delivery=delivery)), 400)
    assert not inbox.deliveries


async def test_a_delivery_id_may_have_two_hundred_characters():
    headers = signed(b"{}", x_github_delivery="x" * 200)
    assert (await check(MemoryInbox(), b"{}", headers)).status_code == 202


async def test_while_the_inbox_is_down_the_sender_is_asked_to_come_back():
    inbox = MemoryInbox()
    inbox.available = False
    answer = await check(inbox, b"{}", signed(b"{}"))
    assert_problem(answer, 503)
    assert int(answer.headers["retry-after"]) > 0


async def test_an_inbox_that_does_not_answer_is_not_waited_for():
    class Stuck(MemoryInbox):
        async def record(self, delivery):
            await asyncio.Event().wait()

    assert_problem(await check(Stuck(), b"{}", signed(b"{}"), record_timeout_s=0.01), 503)


async def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not():
    inbox = MemoryInbox()
    body = b'{"a":"' + b"x" * (BODY_BYTES_MAX - 8) + b'"}'
    assert (await check(inbox, body, signed(body))).status_code == 202
    assert_problem(await check(inbox, body + b" ", signed(body + b" ")), 413)
    assert len(inbox.deliveries) == 1


async def test_a_body_without_a_length_is_counted_while_it_is_read():
    read = 0

    async def endless():
        nonlocal read
        while read < 4 * BODY_BYTES_MAX:
            read += 1_000_000
            yield b" " * 1_000_000

    assert_problem(await check(MemoryInbox(), endless(), signed(b"")), 413)


class Served:
    """The routes on a real server, for what only a socket can do."""

    def __init__(self, inbox) -> None:
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app_with(inbox), log_level="critical", lifespan="off")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],))

    def __enter__(self):
        self.socket.listen()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.should_exit = True
        self.thread.join()
        self.socket.close()

    def talk(self, request: bytes, *, close: bool = False) -> bytes:
        with socket.create_connection(self.socket.getsockname(), 10) as link:
            link.sendall(request)
            if close:
                return b""
            answer = b""
            while chunk := link.recv(65_536):
                answer += chunk
            return answer


def raw(body: bytes, length: int | str, delivery: str = "d-1") -> bytes:
    headers = signed(body, x_github_delivery=delivery)
    lines = ["POST /hooks/hub HTTP/1.1", "Host: test", "Connection: close"]
    lines += [f"{key}: {value}" for key, value in headers.items()]
    lines += [f"Content-Length: {length}"] if isinstance(length, int) else [length]
    return "\r\n".join([*lines, "", ""]).encode()


async def test_lying_and_truncated_bodies_leave_nothing_and_the_server_goes_on():
    inbox, body = MemoryInbox(), b'{"n": 1}'

    def talk() -> None:
        with Served(inbox) as served:
            # Announced far too large: refused before any of it is read.
            assert b" 413 " in served.talk(raw(body, BODY_BYTES_MAX + 1)).split(b"\r\n")[0]
            # Announced larger than what comes, and the sender goes away.
            served.talk(raw(body, 100) + body, close=True)
            # Announced smaller: what is within the length was not what was signed.
            assert b" 401 " in served.talk(raw(body, 4) + body).split(b"\r\n")[0]
            # A chunked body that ends in the middle.
            served.talk(raw(body, "Transfer-Encoding: chunked") + b"8\r\n" + body[:3], close=True)
            assert not inbox.deliveries
            assert b" 202 " in served.talk(raw(body, len(body)) + body).split(b"\r\n")[0]

    await asyncio.to_thread(talk)
    assert [delivery.body for delivery in inbox.deliveries.values()] == ['{"n": 1}']


async def test_without_its_fsync_a_call_is_answered_in_milliseconds():
    body = json.dumps({"commits": [{"message": "x" * 200}] * 50}).encode()
    took = []
    transport = httpx2.ASGITransport(app=app_with(MemoryInbox()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        for n in range(50):
            headers = signed(body, x_github_delivery=f"d-{n}")
            start = time.perf_counter()
            answer = await client.post("/hooks/hub", content=body, headers=headers)
            took.append(time.perf_counter() - start)
            assert answer.status_code == 202
    assert sorted(took)[25] < 0.010
