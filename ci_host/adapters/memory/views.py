"""MemoryViews: the lists that people have named, in a dict. It implements SavedViews."""

from collections.abc import Sequence

import msgspec

from ci_host.ports import Conflict
from ci_host.view_ports import SavedView


class MemoryViews:
    """See SavedViews."""

    def __init__(self) -> None:
        self._written = 0
        self._kept: dict[str, tuple[int, bytes]] = {}

    async def read(self, person: str) -> tuple[int, Sequence[SavedView]]:
        revision, content = self._kept.get(person, (0, b"[]"))
        return revision, msgspec.json.decode(content, type=list[SavedView])

    async def write(self, person: str, views: Sequence[SavedView], *, after: int) -> int:
        revision, _ = self._kept.get(person, (0, b""))
        if revision != after:
            raise Conflict(f"the views of {person} are at {revision}, not {after}")
        self._written += 1
        self._kept[person] = (self._written, msgspec.json.encode(views))
        return self._written
