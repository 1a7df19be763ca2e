"""Announcements to a receiver: in order, again where it must be, and what came of each try."""

from dataclasses import dataclass, field

import msgspec
import pytest

from ci_host.engine.status_delivery import BROKEN_RETRY_S
from ci_host.engine.subscription_delivery import TRIES_SHOWN, SubscriptionDelivery
from ci_host.ports import Unavailable
from pipelines.announcement import Announcement, AnnouncementKind, Subscription
from tests.owed import Feed, KeptOwed
from webhooks.forge import Gone, Refused, SendLater, Sent

pytestmark = pytest.mark.anyio

HERS = Subscription(id="hers", url="https://hers.test/in", secrets=["whsec_c2VjcmV0"])
ONE = Announcement(
    kind=AnnouncementKind.RUN_STARTED, repo="r", run="run", turn=1, number=0, at=1.0, data={}
)


@dataclass
class Receiver:
    """See AnnouncementSender: answers what it was told to, then Sent."""

    answers: list[object] = field(default_factory=list)
    sent: list[tuple[str, int]] = field(default_factory=list)

    async def send(self, subscription: Subscription, one: Announcement, *, attempt: int):
        self.sent.append((one.id, attempt))
        told = self.answers.pop(0) if self.answers else Sent()
        if isinstance(told, Exception):
            raise told
        return told


class Place:
    """A Subscription that can be stopped."""

    def __init__(self, subscription: Subscription | None = HERS) -> None:
        self.now = subscription
        self.is_away = False

    async def delivered(self, receiver: Receiver, *owed: KeptOwed) -> SubscriptionDelivery:
        async def stop(reason: str) -> None:
            if self.is_away:
                raise Unavailable("the bus is away")
            assert self.now is not None
            self.now = msgspec.structs.replace(self.now, stopped=reason)

        made = SubscriptionDelivery(Feed(*owed), receiver, lambda: self.now, stop, lambda: 5.0)
        await made.serve()
        return made


async def test_what_is_taken_is_done_and_seen_among_the_tries():
    owed = KeptOwed(ONE)
    made = await Place().delivered(Receiver(), owed)
    assert owed.is_done
    (tried,) = made.tries
    assert (tried.announcement, tried.said, tried.is_over, tried.at) == (ONE.id, "", True, 5.0)


async def test_what_is_not_taken_is_owed_on_and_waits_as_long_as_the_sender_says():
    owed = KeptOwed(ONE, times=3)
    receiver = Receiver([SendLater("it answered 503", 20.0)])
    made = await Place().delivered(receiver, owed)
    assert (owed.is_done, owed.waits, receiver.sent) == (False, [20.0], [(ONE.id, 3)])
    assert (made.tries[0].said, made.tries[0].is_over) == ("it answered 503", False)


async def test_what_is_given_up_lets_the_next_one_through():
    first, second = KeptOwed(ONE), KeptOwed(ONE)
    made = await Place().delivered(Receiver([Refused("given up")]), first, second)
    assert first.is_done and second.is_done
    assert [one.said for one in made.tries] == ["", "given up"]


async def test_a_receiver_that_is_gone_is_called_no_more():
    place, receiver = Place(), Receiver([Gone("it answered 410")])
    owed = [KeptOwed(ONE), KeptOwed(ONE)]
    await place.delivered(receiver, *owed)
    assert place.now is not None and place.now.stopped == "it answered 410"
    assert len(receiver.sent) == 1 and all(one.is_done for one in owed)


async def test_where_it_cannot_be_stopped_now_that_is_tried_again_and_nobody_ends():
    place, owed = Place(), KeptOwed(ONE)
    place.is_away = True
    await place.delivered(Receiver([Gone("it answered 410")]), owed)
    assert (owed.is_done, owed.waits) == (False, [BROKEN_RETRY_S])


async def test_an_error_of_ours_ends_nothing_and_is_tried_again():
    owed = KeptOwed(ONE)
    made = await Place().delivered(Receiver([ValueError("a bug")]), owed)
    assert owed.waits == [BROKEN_RETRY_S]
    assert "Staunch's own" in made.tries[0].said


@pytest.mark.parametrize(
    "now",
    [
        None,
        msgspec.structs.replace(HERS, removed=True),
        msgspec.structs.replace(HERS, stopped="410"),
        msgspec.structs.replace(HERS, repos=["another"]),
    ],
    ids=["never-there", "removed", "stopped", "of-another-repo"],
)
async def test_what_is_not_wanted_is_done_without_a_call(now):
    owed, receiver = KeptOwed(ONE), Receiver()
    await Place(now).delivered(receiver, owed)
    assert owed.is_done and receiver.sent == []


async def test_only_the_last_tries_are_remembered():
    made = await Place().delivered(Receiver(), *[KeptOwed(ONE) for _ in range(TRIES_SHOWN + 5)])
    assert len(made.tries) == TRIES_SHOWN
