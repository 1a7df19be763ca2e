"""NatsViews: the lists that people have named, on VIEWS. It implements SavedViews."""

from collections.abc import Sequence

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, expected
from ci_host.view_ports import SavedView

_VIEWS = msgspec.json.Decoder(list[SavedView])


class NatsViews:
    """See SavedViews."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def read(self, person: str) -> tuple[int, Sequence[SavedView]]:
        stored = await self._bus.last(subjects.VIEWS, subjects.views(person))
        return (0, []) if stored is None else (stored.sequence, _VIEWS.decode(stored.body))

    async def write(self, person: str, views: Sequence[SavedView], *, after: int) -> int:
        body = msgspec.json.encode(list(views))
        return (await self._bus.publish(subjects.views(person), body, expected(after))).seq
