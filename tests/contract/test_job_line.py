"""Every line of jobs keeps the same promises; the real one has a runner's own link at its end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from ci_host.line_ports import (
    TAKEN_BACK,
    JobLimit,
    Left,
    Limited,
    News,
    Offered,
    PoolRule,
    Ruled,
    Slots,
    Unwanted,
)
from ci_host.ports import Conflict, Unavailable
from pipelines.priority import Priority
from pipelines.trust import Tier
from tests.engine.line_places import Place, heard, in_memory, job_of, on_nats, spec_of

pytestmark = pytest.mark.anyio

LIMIT = JobLimit(pool="gpu", at_once=2)
RULE = PoolRule(pool="default", tier=Tier.TRUSTED, untrusted_to="strangers")


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "memory":
        yield in_memory()
        return
    async with AsyncExitStack() as stack:
        yield await on_nats(stack, tmp_path)


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        yield await on_nats(stack, tmp_path)


async def test_what_waits_is_found_in_the_order_of_the_offers_and_what_comes_is_told(
    place: Place,
) -> None:
    for name in ("first", "second", "first"):
        await place.offer(spec_of(name))
    async with place.line.open() as opened:
        assert [one.key for one in opened.offers] == ["first", "second"]
        assert not opened.released
        await place.offer(spec_of("third", "high"))
        ticket = (await heard(opened, Offered)).ticket
    assert (ticket.job, ticket.key, ticket.level) == (job_of("third"), "third", Priority.HIGH)
    assert (ticket.pool, ticket.repo, ticket.repo_name) == ("default", "git/example", "example")


async def test_what_is_released_reaches_a_runner_and_is_told_when_it_has_left(
    place: Place,
) -> None:
    await place.offer(spec_of("job"))
    async with place.line.open() as opened:
        [offer] = opened.offers
        released = await opened.release(offer)
        await opened.remove(offer)
        done = await place.take()
        async with place.line.open() as other:
            assert [(one.job, one.place) for one in other.released] == [(offer.job, released.place)]
            assert not other.offers
        await done()
        assert (await heard(opened, Left)).place == released.place
    async with place.line.open() as empty:
        assert not empty.released


async def test_an_offer_that_was_claimed_is_none_any_more(place: Place) -> None:
    await place.offer(spec_of("job"))
    await place.claim("job")
    async with place.line.open() as opened:
        assert not opened.offers
    async with place.line.open() as opened:
        assert not opened.offers


async def test_of_two_who_release_the_second_is_refused(place: Place) -> None:
    await place.offer(spec_of("first"))
    await place.offer(spec_of("second"))
    async with place.line.open() as one, place.line.open() as other:
        await one.release(one.offers[0])
        with pytest.raises(Conflict):
            await other.release(other.offers[1])
    async with place.line.open() as again:
        assert [one.key for one in again.released] == ["first"]
        await again.release(again.offers[1])


async def test_an_offer_may_be_removed_twice(place: Place) -> None:
    await place.offer(spec_of("job"))
    async with place.line.open() as opened:
        for _ in range(2):
            await opened.remove(opened.offers[0])
    async with place.line.open() as opened:
        assert not opened.offers


async def test_who_is_cancelled_is_found_and_told(place: Place) -> None:
    await place.offer(spec_of("early"))
    await place.offer(spec_of("late"))
    await place.cancel("early")
    await place.cancel("unknown")
    async with place.line.open() as opened:
        assert list(opened.unwanted) == [Unwanted(job_of("early"), "enough")]
        await place.cancel("late")
        assert await heard(opened, Unwanted) == Unwanted(job_of("late"), "enough")


async def test_what_no_runner_has_claimed_is_withdrawn_and_seen_by_none(place: Place) -> None:
    await place.offer(spec_of("job"))
    async with place.line.open() as opened:
        released = await opened.release(opened.offers[0])
        # Whoever died in between finds its own claim.
        assert await opened.withdraw(released)
        assert await opened.withdraw(released)
        await opened.take_off(released)
        await opened.take_off(released)
    async with place.line.open() as opened:
        assert not opened.released


async def test_what_a_runner_has_claimed_is_not_withdrawn(place: Place) -> None:
    await place.offer(spec_of("job"))
    async with place.line.open() as opened:
        released = await opened.release(opened.offers[0])
        await place.claim("job")
        assert not await opened.withdraw(released)


async def test_slots_and_limits_are_found_and_told(place: Place) -> None:
    async with place.line.open() as opened:
        assert opened.slots == {}
        await place.beat()
        assert (await heard(opened, Slots)).pools == {"default": 2}
        await place.limit(LIMIT)
        assert (await heard(opened, Limited)).limit == LIMIT
    async with place.line.open() as opened:
        assert opened.slots == {"default": 2}
        assert list(opened.limits) == [LIMIT]


async def test_rules_of_pools_are_found_and_told(place: Place) -> None:
    async with place.line.open() as opened:
        assert list(opened.rules) == []
        await place.rule(RULE)
        assert (await heard(opened, Ruled)).rule == RULE
    removed = PoolRule(pool="default")
    await place.rule(removed)
    async with place.line.open() as opened:
        assert list(opened.rules) == [removed]


async def test_of_each_it_is_known_whether_it_is_trusted(place: Place) -> None:
    await place.offer(spec_of("stranger"))
    await place.offer(msgspec.structs.replace(spec_of("ours"), tier=Tier.TRUSTED))
    async with place.line.open() as opened:
        assert [one.tier for one in opened.offers] == [Tier.UNTRUSTED, Tier.TRUSTED]
        for offer in opened.offers:
            await opened.release(offer)
    async with place.line.open() as opened:
        assert [one.tier for one in opened.released] == [Tier.UNTRUSTED, Tier.TRUSTED]


async def test_a_job_that_is_sent_on_is_one_of_its_new_pool(place: Place) -> None:
    asked = spec_of("job")
    elsewhere = msgspec.structs.replace(asked.request, pool="elsewhere")
    await place.offer(msgspec.structs.replace(asked, request=elsewhere))
    async with place.line.open() as opened:
        [offer] = opened.offers
        await opened.release(replace(offer, pool="default", sent="sent on"))
        await opened.remove(offer)
        # The runner takes from pool default.
        await place.take()
    async with place.line.open() as opened:
        assert [one.pool for one in opened.released] == ["default"]


async def test_labels_that_a_job_asks_for_are_known_until_its_pool_is_chosen(
    place: Place,
) -> None:
    asked = spec_of("job")
    labelled = msgspec.structs.replace(asked.request, labels=["arm64", "linux"])
    await place.offer(msgspec.structs.replace(asked, request=labelled))
    async with place.line.open() as opened:
        [offer] = opened.offers
        assert offer.labels == ("arm64", "linux")
        await opened.release(replace(offer, pool="default", sent="in pool default"))
        await opened.remove(offer)
    async with place.line.open() as opened:
        assert [(one.pool, one.labels) for one in opened.released] == [("default", ())]


async def test_what_the_host_has_claimed_and_nobody_wished_for_is_to_be_ended(
    place: Place,
) -> None:
    await place.offer(spec_of("job"))
    await place.offer(spec_of("other"))
    async with place.line.open() as opened:
        released = [await opened.release(offer) for offer in opened.offers]
        for offer in opened.offers:
            await opened.remove(offer)
        assert await opened.withdraw(released[0])
        await place.claim("other")
    async with place.line.open() as opened:
        assert list(opened.unwanted) == [Unwanted(job_of("job"), TAKEN_BACK)]


async def test_an_offer_that_the_host_has_claimed_stays_until_its_end_is_reported(
    place: Place,
) -> None:
    await place.offer(spec_of("job"))
    await place.offer(spec_of("cancelled"))
    async with place.line.open() as opened:
        for offer in opened.offers:
            assert await opened.withdraw(offer)
        await place.cancel("cancelled")
    async with place.line.open() as opened:
        assert [one.key for one in opened.offers] == ["job", "cancelled"]
        told = {one.job: one.reason for one in opened.unwanted}
        assert told == {job_of("job"): TAKEN_BACK, job_of("cancelled"): "enough"}


@pytest.mark.nats
async def test_what_left_unheard_is_found_by_looking(real: Place) -> None:
    assert real.bus is not None
    await real.offer(spec_of("job"))
    async with real.line.open() as opened:
        released = await opened.release(opened.offers[0])
        wish = msgspec.json.encode({"seq": released.place})
        await real.bus.request("$JS.API.STREAM.MSG.DELETE.JOBS", wish)
        assert (await heard(opened, Left)).place == released.place


@pytest.mark.nats
async def test_whoever_releases_beside_it_is_noticed(real: Place) -> None:
    assert real.bus is not None
    await real.offer(spec_of("job"))
    async with real.line.open() as opened:
        await opened.release(opened.offers[0])
        await real.bus.publish("jobs.default", msgspec.json.encode(spec_of("other")), {})
        with pytest.raises(Conflict):
            await heard(opened, Slots)


@pytest.mark.nats
async def test_a_lost_connection_ends_it(real: Place) -> None:
    assert real.bus is not None
    async with real.line.open() as opened:
        listening = asyncio.create_task(heard(opened, Slots))
        await asyncio.sleep(0)
        await real.bus.reconnected()
        with pytest.raises(Unavailable):
            await listening


@pytest.mark.nats
async def test_nothing_that_cannot_be_read_is_in_the_way(real: Place) -> None:
    assert real.bus is not None
    await real.bus.publish("offer.0-a.b.1", b"{not json")
    await real.bus.publish("runner.ill", b"{not json")
    await real.bus.publish("jobs.default", b"{not json")
    await real.offer(spec_of("job"))
    async with real.line.open() as opened:
        assert [one.key for one in opened.offers] == ["job"]
        await real.bus.publish("offer.0-a.b.2", b"[]")
        await real.bus.publish("cancel.0-a.b.2", b"[]")
        await real.offer(spec_of("next"))
        assert (await heard(opened, Offered)).ticket.key == "next"
    assert len(await real.bus.read("OFFERS", "offer.>")) == 2


def test_every_kind_of_news_is_tried_here() -> None:
    assert set(News.__args__) == {Offered, Left, Unwanted, Slots, Limited, Ruled}
