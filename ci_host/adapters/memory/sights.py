"""MemorySights and MemoryHearsay: what is known of refs, in dicts. Sights and Hearsay."""

from collections.abc import Sequence

import msgspec

from ci_host.ports import Conflict
from ci_host.ref_ports import NotCompared, Sight, Word


class MemorySights:
    """See Sights. `writes` counts them."""

    def __init__(self) -> None:
        self.writes = 0
        self._sights: dict[str, tuple[int, bytes]] = {}
        self._not_compared: dict[str, NotCompared] = {}

    async def read(self, repo: str) -> tuple[int, Sight | None]:
        revision, content = self._sights.get(repo, (0, b""))
        return revision, msgspec.json.decode(content, type=Sight) if revision else None

    async def write(self, sight: Sight, *, after: int) -> int:
        revision, _ = self._sights.get(sight.repo, (0, b""))
        if revision != after:
            raise Conflict(f"the sight of {sight.repo} is at {revision}, not {after}")
        self.writes += 1
        self._sights[sight.repo] = (self.writes, msgspec.json.encode(sight))
        return self.writes

    async def not_compared(self) -> list[NotCompared]:
        return list(self._not_compared.values())

    async def tell(self, what: NotCompared) -> None:
        self._not_compared[what.subject] = what

    async def take_back(self, subject: str) -> None:
        self._not_compared.pop(subject, None)


class MemoryHearsay:
    """See Hearsay."""

    def __init__(self) -> None:
        self._words: dict[tuple[str, str], Word] = {}

    async def tell(self, word: Word) -> None:
        self._words[word.repo, word.ref] = word

    async def told(self, repo: str, refs: Sequence[str]) -> dict[str, Word]:
        return {ref: self._words[repo, ref] for ref in refs if (repo, ref) in self._words}
