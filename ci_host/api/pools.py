"""Pools: which of them have runners that are alive, and what to say of one that has none."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.engine.line import Held
from pipelines.job import Moving

NAMED_MAX = 5


class _Beat(msgspec.Struct, frozen=True):
    """What is needed here of a runner's sign of life."""

    runner: str
    pools: list[str]
    slots: int
    moving: dict[str, Moving] = {}


@dataclass(frozen=True, slots=True)
class Pools:
    """Slots of the runners that are alive, by pool; why jobs wait though there are some, and whose
    files are on their way, by id: of the last as a runner says it, by that one's name too."""

    slots: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, Held] = field(default_factory=dict)
    moving: Mapping[tuple[str, str], Moving] = field(default_factory=dict)

    def lack(self, pool: str) -> str:
        """Why nobody will take a job of this pool, and what to do; empty where somebody may."""
        if self.slots.get(pool):
            return ""
        if pool in self.slots:
            return f"all of pool {pool} is being drained; `staunch runner resume` ends that"
        if not self.slots:
            return "no runner is alive; start one: staunch up, or `python -m runners agent`"
        near = get_close_matches(pool, self.slots, n=1)
        guess = f"; is {near[0]} meant?" if near else ""
        named = ", ".join(sorted(self.slots)[:NAMED_MAX])
        more = len(self.slots) - NAMED_MAX
        others = f"{named} and {more} more" if more > 0 else named
        return f"no runner of pool {pool} is alive, but of {others}{guess}"


async def alive(bus: Bus, held: Mapping[str, Held]) -> Pools:
    """By their signs of life; a runner that is silent for 90 s is none. Raises Unavailable."""
    slots: dict[str, int] = {}
    moving: dict[tuple[str, str], Moving] = {}
    for stored in await bus.read(subjects.RUNNERS, "runner.*"):
        beat = msgspec.json.decode(stored.body, type=_Beat)
        for pool in beat.pools:
            slots[pool] = slots.get(pool, 0) + beat.slots
        moving |= {(beat.runner, job): one for job, one in beat.moving.items()}
    return Pools(slots, held, moving)
