"""What every Inbox must do. An adapter takes part by being a parameter of `inbox`."""

import asyncio

import pytest

from pipelines.repo import Delivery, ForgeKind
from webhooks.inbox import Recorded
from webhooks.memory import MemoryInbox

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory"])
def inbox(request):
    return MemoryInbox()


def delivery(**changes) -> Delivery:
    facts = {"connection": "c", "id": "d-1", "kind": ForgeKind.GITHUB, "event": "push"}
    return Delivery(**{**facts, "received_at": 1.0, "body": "{}", **changes})


async def test_a_delivery_is_recorded_once(inbox):
    assert await inbox.record(delivery()) is Recorded.RECORDED
    assert await inbox.record(delivery()) is Recorded.DUPLICATE
    assert await inbox.record(delivery(body='{"other": 1}')) is Recorded.DUPLICATE


async def test_another_id_or_connection_is_another_delivery(inbox):
    names = ["d.1", "d 1", "d*", "d>", "D-1", "é" * 100, "/srv/git/x.git"]
    for name in names:
        assert await inbox.record(delivery(id=name)) is Recorded.RECORDED
        assert await inbox.record(delivery(id=name, connection="b")) is Recorded.RECORDED


async def test_of_many_at_once_exactly_one_is_recorded(inbox):
    answers = await asyncio.gather(*(inbox.record(delivery()) for _ in range(20)))
    assert answers.count(Recorded.RECORDED) == 1
