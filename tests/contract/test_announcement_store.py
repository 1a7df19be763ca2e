"""What programs outside are told is kept once, in one order, and read from any place on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ci_host.adapters.nats.announcements import NatsAnnouncements, announcements_for
from ci_host.announcement_ports import Told
from pipelines.announcement import Announcement, AnnouncementKind, Subscription
from tests.servers import bus_of, nats_server

pytestmark = [pytest.mark.anyio, pytest.mark.nats]

MINE, OTHERS = "git/mine with * and >", "git/others"


@pytest.fixture
async def bus(tmp_path: Path) -> AsyncIterator:
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield bus


def one(repo: str, turn: int) -> Announcement:
    return Announcement(
        kind=AnnouncementKind.RUN_STARTED, repo=repo, run="r", turn=turn, number=0, at=1.0, data={}
    )


def turns(told: Told) -> list[int]:
    return [one.turn for _, one in told.found]


async def test_each_is_kept_once_and_read_in_order_from_a_place_on(bus):
    kept = NatsAnnouncements(bus)
    assert (await kept.newest(), await kept.page(0, 10, None)) == (0, Told([], 0))
    for turn in (1, 2, 2, 3):
        await kept.put(one(MINE, turn))
    first = await kept.page(0, 2, None)
    assert turns(first) == [1, 2]
    rest = await kept.page(first.through, 10, None)
    assert (turns(rest), rest.through) == ([3], 3)
    assert await kept.newest() == 3


async def test_who_sees_some_repositories_reads_of_those_alone(bus):
    kept = NatsAnnouncements(bus)
    for turn in range(1, 4):
        await kept.put(one(OTHERS, turn))
        await kept.put(one(MINE, turn))
    await kept.put(one(OTHERS, 4))
    mine = await kept.page(0, 10, [MINE])
    assert [told.repo for _, told in mine.found] == [MINE] * 3
    assert len((await kept.page(0, 10, [MINE, OTHERS])).found) == 7
    # What is not theirs is passed over once.
    assert await kept.page(0, 10, []) == Told([], 7)
    assert await kept.page(mine.through, 10, [MINE, "git/none"]) == Told([], 7)


async def test_a_subscription_begins_with_what_comes_after_it_and_keeps_its_place(bus):
    kept = NatsAnnouncements(bus)
    await kept.put(one(MINE, 1))
    hers = Subscription(id="hers", url="u", secrets=["s"], repos=[MINE], after=await kept.newest())
    for repo, turn in ((MINE, 2), (OTHERS, 3), (MINE, 4)):
        await kept.put(one(repo, turn))
    taken = []
    for _ in range(2):
        # Each time as another process would.
        async for owed in announcements_for(bus, hers):
            taken.append(owed.item.turn)
            await owed.done()
            break
        await bus.client.flush()
    assert taken == [2, 4]
