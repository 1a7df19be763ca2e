"""Claimed keys: which start in a repository has a key, however it is begun.

The first to come has it for as long as Deliveries are kept. It is told what the key is of, and no
more than that: how the rest of two wishes differs is seen from what was begun.
"""

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.api.services import Services
from ci_host.engine.asked_again import check_same
from pipelines.event import Event


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a key is of. `event`: without what each start has of its own."""

    commit: str
    pipeline: str
    event: Event

    @classmethod
    def of(cls, event: Event, pipeline: str) -> "Claim":
        """What the key of a start with this event is of."""
        told = msgspec.structs.replace(event, commit="", ref="", sender="")
        return cls(commit=event.commit, pipeline=pipeline, event=told)


async def claim(here: Services, repo: str, key: str, wish: Claim) -> None:
    """Raises KeyTaken, Unavailable. May be repeated: who has it already, has it."""
    subject = subjects.start_key(repo, key)
    if await here.bus.put_once(subject, msgspec.json.encode(wish)):
        return
    kept = await here.bus.newest(subjects.KEYS, subject)
    if kept is not None:
        before = msgspec.json.decode(kept.body, type=Claim)
        check_same(key, msgspec.structs.asdict(before), msgspec.structs.asdict(wish))
