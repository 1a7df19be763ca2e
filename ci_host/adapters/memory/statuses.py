"""MemoryUntoldStatuses: what no Forge took, in a dict. UntoldStatuses."""

from collections.abc import Sequence

import msgspec

from ci_host.status_ports import Untold
from pipelines.status import Status


class MemoryUntoldStatuses:
    """See UntoldStatuses."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], bytes] = {}

    async def keep(self, untold: Untold) -> None:
        self._kept[_key(untold.status)] = msgspec.json.encode(untold)

    async def find(self, place: Status) -> Untold | None:
        content = self._kept.get(_key(place))
        return None if content is None else msgspec.json.decode(content, type=Untold)

    async def forget(self, place: Status) -> None:
        self._kept.pop(_key(place), None)

    async def all(self) -> Sequence[Untold]:
        kept = [msgspec.json.decode(one, type=Untold) for one in self._kept.values()]
        return sorted(kept, key=lambda one: (one.since, one.status.at))


def _key(status: Status) -> tuple[str, str]:
    return status.connection, status.place
