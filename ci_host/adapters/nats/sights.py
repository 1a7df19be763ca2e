"""NatsSights on SIGHTS, NatsHearsay on HEARD. They implement Sights and Hearsay."""

from collections.abc import Sequence

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import LASTS_MAX, Bus, expected
from ci_host.ref_ports import NotCompared, Sight, Word

_SIGHT = msgspec.json.Decoder(Sight)
_NOT_COMPARED = msgspec.json.Decoder(NotCompared)
_WORD = msgspec.json.Decoder(Word)


class NatsSights:
    """See Sights."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def read(self, repo: str) -> tuple[int, Sight | None]:
        stored = await self._bus.last(subjects.SIGHTS, subjects.sight(repo))
        return (0, None) if stored is None else (stored.sequence, _SIGHT.decode(stored.body))

    async def write(self, sight: Sight, *, after: int) -> int:
        subject = subjects.sight(sight.repo)
        ack = await self._bus.publish(subject, msgspec.json.encode(sight), expected(after))
        return ack.seq

    async def not_compared(self) -> list[NotCompared]:
        found = await self._bus.read(subjects.SIGHTS, "uncompared.*")
        return [_NOT_COMPARED.decode(stored.body) for stored in found]

    async def tell(self, what: NotCompared) -> None:
        await self._bus.publish(subjects.not_compared(what.subject), msgspec.json.encode(what))

    async def take_back(self, subject: str) -> None:
        await self._bus.purge(subjects.SIGHTS, subjects.not_compared(subject))


class NatsHearsay:
    """See Hearsay. A word is stored without waiting for the server to say so."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def tell(self, word: Word) -> None:
        await self._bus.hint(subjects.heard(word.repo, word.ref), msgspec.json.encode(word))

    async def told(self, repo: str, refs: Sequence[str]) -> dict[str, Word]:
        names = [subjects.heard(repo, ref) for ref in refs]
        found: dict[str, Word] = {}
        for start in range(0, len(names), LASTS_MAX):
            for stored in await self._bus.lasts(subjects.HEARD, names[start : start + LASTS_MAX]):
                word = _WORD.decode(stored.body)
                found[word.ref] = word
        return found
