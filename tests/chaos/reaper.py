"""Reaper: what befalls the processes of an installation: SIGKILL, or SIGSTOP for a while.

Which, whom and when is a seed's. What must hold in the end is in `judgement.py`.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from nats.errors import Error as NatsError

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from pipelines.ids import SHARDS_DEFAULT
from tests.chaos.cluster import Cluster
from tests.chaos.waiting import until
from tests.demo.installation import Installation

# Engines and hosts hold the most in flight; the whole machine goes down now and then.
VICTIMS = {"host": 3, "engine": 4, "runner": 3, "nats-server": 3, "supervisor": 1, "all": 2}
# A cluster outlives the loss of one of its servers, and not of two: the next is struck when all are
# well again. An election takes 4 to 9 s.
SERVERS = {"leader": 3, "nats-a": 1}
FROZEN_S = (0.2, 8.0)


@dataclass(frozen=True)
class Pace:
    """Seconds between two blows, and how many of a hundred freeze instead of kill."""

    every_s: tuple[float, float] = (0.3, 1.5)
    freezes_percent: int = 0


@dataclass
class Reaper:
    """Strikes one installation, and brings it up again where nobody of its own does."""

    installation: Installation
    dice: random.Random
    pace: Pace = Pace()
    cluster: Cluster | None = None
    struck: Counter[str] = field(default_factory=Counter)
    _frozen: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _height: int = 0

    async def reap(self, seconds: float, bus: Bus | None) -> None:
        """Strike for so long. `bus` tells who leads a cluster. In the end everything runs."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # The moments themselves are the point: whatever is going on then is cut off.
            await asyncio.sleep(self.dice.uniform(*self.pace.every_s))
            await self._strike(bus)
            await self.revive()
        await asyncio.gather(*self._frozen.values())
        await until("a supervisor that lives", self._has_revived)

    async def _has_revived(self) -> bool:
        await self.revive()
        return "supervisor" in self.installation.pids()

    async def _strike(self, bus: Bus | None) -> None:
        own = self.installation.pids()
        pids, weights = own, VICTIMS
        if self.cluster is not None and await asyncio.to_thread(self.cluster.is_healthy):
            pids, weights = own | self.cluster.pids(), VICTIMS | SERVERS
        # All at once only from the height: what is down already shows nothing new.
        self._height = max(self._height, len(own))
        engines = sorted(name for name in pids if name.startswith("engine-"))
        roles = {*pids, "leader", *(["engine"] if engines else [])}
        roles |= {"all"} if len(own) == self._height else set()
        there = [name for name in weights if name in roles]
        if not there:
            return
        (victim,) = self.dice.choices(there, [weights[name] for name in there])
        freezes = victim != "all" and self.dice.randrange(100) < self.pace.freezes_percent
        name = self.dice.choice(engines) if victim == "engine" else victim
        name = await self._leader(bus) if victim == "leader" else name
        if name != "all" and name not in pids:
            return
        for pid in own.values() if name == "all" else [pids[name]]:
            if freezes:
                self._freeze(pid)
            else:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.struck[f"{'froze' if freezes else 'killed'} {victim}"] += 1

    async def _leader(self, bus: Bus | None) -> str:
        """The server that leads one shard now; nobody's name if that cannot be learnt."""
        assert bus is not None
        stream = subjects.runs_stream(self.dice.randrange(SHARDS_DEFAULT))
        with suppress(NatsError):
            info = await bus.js.stream_info(stream)
            return (info.cluster and info.cluster.leader) or ""
        return ""

    def _freeze(self, pid: int) -> None:
        if pid in self._frozen and not self._frozen[pid].done():
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            seconds = self.dice.uniform(*FROZEN_S)
            self._frozen[pid] = asyncio.create_task(_thaw(pid, seconds))

    async def revive(self) -> None:
        """Start again whatever nobody else starts: the supervisor, and a cluster's servers."""
        if self.cluster is not None:
            self.cluster.revive()
        if await asyncio.to_thread(self.installation.has_ended):
            self.installation.launch()


async def _thaw(pid: int, seconds: float) -> None:
    await asyncio.sleep(seconds)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
