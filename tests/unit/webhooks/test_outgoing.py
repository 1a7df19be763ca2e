"""Calls of others' webhooks: their form, their signatures, and what each answer means."""

import json

import httpx2
import msgspec
import pytest

from pipelines.announcement import Announcement, AnnouncementKind, Subscription
from webhooks.errors import Unverified
from webhooks.forge import Gone, Refused, SendLater, Sent
from webhooks.outgoing import (
    ANSWER_BYTES_MAX,
    REFUSED_TRIES_MAX,
    RETRY_S_MAX,
    TRIES_MAX,
    Outgoing,
    cloud_event,
)
from webhooks.signature import verify_standard

pytestmark = pytest.mark.anyio

NOW = 1_700_000_000.25
OLD, NEW = "whsec_b2xkIHNlY3JldCBvZiBoZXJz", "whsec_bmV3IHNlY3JldCBvZiBoZXJz"
HERS = Subscription(id="hers", url="https://hers.test/in", secrets=[NEW, OLD])
ONE = Announcement(
    kind=AnnouncementKind.RUN_FINISHED,
    repo="hub/7",
    run="0123",
    turn=4,
    number=1,
    at=NOW,
    data={"state": "failed", "ref": "refs/heads/größe"},
)


class Receiver:
    """Answers with one code, and keeps what came."""

    def __init__(self, code: int = 204, **answer) -> None:
        self.code, self.answer = code, answer
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return httpx2.Response(self.code, **self.answer)


async def sent(receiver, subscription: Subscription = HERS, attempt: int = 1):
    transport = httpx2.MockTransport(receiver)
    async with httpx2.AsyncClient(transport=transport) as client:
        outgoing = Outgoing(client, "https://ci.test", dice=lambda: 0.0, now=lambda: NOW)
        return await outgoing.send(subscription, ONE, attempt=attempt)


async def test_a_call_carries_one_cloud_event_in_its_json_form():
    receiver = Receiver()
    assert await sent(receiver) == Sent()
    (request,) = receiver.requests
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert json.loads(request.content) == {
        "specversion": "1.0",
        "id": "0123.4.1",
        "source": "https://ci.test",
        "type": "dev.staunch.run.finished",
        "subject": "0123",
        "time": "2023-11-14T22:13:20.250Z",
        "datacontenttype": "application/json",
        "data": {"state": "failed", "ref": "refs/heads/größe"},
    }


@pytest.mark.parametrize("secret", [OLD, NEW], ids=["old", "new"])
async def test_whoever_knows_either_secret_can_verify_it(secret):
    receiver = Receiver()
    await sent(receiver)
    headers = receiver.requests[0].headers
    signed = [headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")]
    body = receiver.requests[0].content
    verify_standard(*signed, body, secrets=[secret], now=NOW)
    with pytest.raises(Unverified):
        verify_standard(*signed, body + b" ", secrets=[secret], now=NOW)
    with pytest.raises(Unverified):
        verify_standard(*signed, body, secrets=["whsec_YW5vdGhlcg=="], now=NOW)


def test_the_same_event_is_the_same_bytes_each_time():
    assert cloud_event(ONE, "https://ci.test") == cloud_event(ONE, "https://ci.test")


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 599])
async def test_a_passing_fault_is_tried_again_for_three_days(code):
    assert isinstance(await sent(Receiver(code)), SendLater)
    assert isinstance(await sent(Receiver(code), attempt=TRIES_MAX - 1), SendLater)
    told = await sent(Receiver(code), attempt=TRIES_MAX)
    assert isinstance(told, Refused) and f"given up after {TRIES_MAX} tries" in told.reason


@pytest.mark.parametrize("code", [301, 308, 400, 401, 403, 404, 422])
async def test_what_a_receiver_calls_wrong_soon_lets_the_next_one_through(code):
    assert isinstance(await sent(Receiver(code), attempt=REFUSED_TRIES_MAX - 1), SendLater)
    told = await sent(Receiver(code), attempt=REFUSED_TRIES_MAX)
    assert isinstance(told, Refused) and str(code) in told.reason


async def test_a_redirect_is_not_followed_and_is_told():
    receiver = Receiver(307, headers={"location": "http://127.0.0.1:22/"})
    told = await sent(receiver)
    assert isinstance(told, SendLater) and "a redirect is not followed" in told.reason
    assert len(receiver.requests) == 1


async def test_410_ends_it():
    told = await sent(Receiver(410, json={"message": "moved out"}))
    assert isinstance(told, Gone) and "410" in told.reason


async def test_waits_grow_to_an_hour_and_a_wish_for_more_is_heeded():
    waits = [(await sent(Receiver(500), attempt=n)).retry_after_s for n in (1, 2, 3, 20)]
    assert waits == [2.5, 5.0, 10.0, RETRY_S_MAX / 2]
    told = await sent(Receiver(429, headers={"retry-after": "300"}))
    assert told.retry_after_s == 300.0


async def test_who_cannot_be_reached_is_tried_again():
    def refuse(_request):
        raise httpx2.ConnectError("connection refused")

    told = await sent(refuse)
    assert isinstance(told, SendLater) and "connection refused" in told.reason


async def test_an_answer_without_end_is_read_no_further_than_its_reason():
    read = 0

    async def endless():
        nonlocal read
        while True:
            read += 1_024
            yield b"x" * 1_024

    told = await sent(lambda _: httpx2.Response(500, content=endless()))
    assert isinstance(told, SendLater)
    assert read <= 2 * ANSWER_BYTES_MAX
    assert len(told.reason) < 1_000


async def test_an_address_that_cannot_be_called_ends_it():
    broken = msgspec.structs.replace(HERS, url="http://hers.test:99999/")
    assert isinstance(await sent(Receiver(), broken), Gone)
