"""NatsAnnouncements: what programs outside are told, on JetStream. See Announcements."""

from collections.abc import Sequence

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, Refused
from ci_host.adapters.nats.consumer import ConsumerRule, NatsQueue
from ci_host.announcement_ports import Told
from ci_host.ports import Unavailable
from pipelines.announcement import Announcement, Subscription, decode_announcement

# Of all that come, so many are looked at for somebody who sees only some.
LOOKED_AT_MAX = 1_000


class NatsAnnouncements:
    """See Announcements."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def put(self, one: Announcement) -> None:
        subject = subjects.announcement(one.repo, one.id)
        try:
            await self._bus.put_once(subject, msgspec.json.encode(one))
        except Refused as error:
            raise Unavailable(str(error)) from error

    async def newest(self) -> int:
        return await self._bus.newest_sequence(subjects.ANNOUNCEMENTS)

    async def page(self, after: int, at_most: int, repos: Sequence[str] | None) -> Told:
        name = "announcement.>"
        if repos is not None and len(repos) == 1:
            name = subjects.announcement(repos[0], ">")
        seen = None if repos is None else set(repos)
        found: list[tuple[int, Announcement]] = []
        more = True
        while more:
            stored, more = await self._bus.page(subjects.ANNOUNCEMENTS, name, after, LOOKED_AT_MAX)
            more = more and bool(stored)
            for one in stored:
                after = one.sequence
                told = decode_announcement(one.body)
                if seen is None or told.repo in seen:
                    found.append((one.sequence, told))
                    if len(found) == at_most:
                        return Told(found, after)
        return Told(found, after)


def announcements_for(bus: Bus, subscription: Subscription) -> NatsQueue[Announcement]:
    """What is owed to one Subscription: one at a time, in order, from when it was made."""
    repos = subscription.repos
    names = tuple(subjects.announcement(repo, ">") for repo in repos) or ("announcement.>",)
    rule = ConsumerRule(
        subjects.ANNOUNCEMENTS,
        consumer_of(subscription),
        names,
        in_flight_max=1,
        begins_after=subscription.after,
    )
    return NatsQueue(bus, rule, lambda got: decode_announcement(got.body))


def consumer_of(subscription: Subscription) -> str:
    """The name of its durable consumer: another one, if it was removed and made again."""
    return f"subscription-{subscription.id}-{int(subscription.created_at * 1_000)}"


async def forget(bus: Bus, consumer: str) -> None:
    """Nobody reads on there. Raises Unavailable."""
    try:
        await bus.js.delete_consumer(subjects.ANNOUNCEMENTS, consumer)
    except NotFoundError:
        return
    except NatsError as error:
        raise Unavailable(f"{consumer}: {error!r}") from error
