"""Pace: how many Deliveries are taken at once. What becomes of each is not decided here.

Of each that is taken more is stored, and that is time at the disk which the calls of forges wait
for. A forge waits for seconds and may not try again; what is recorded is safe, and waits. So while
calls come in a flood, few are taken: not for ever, or a lasting flood would leave all behind.
"""

import asyncio

AT_ONCE_MAX = 8
AT_ONCE_IN_FLOOD = 1
REST_IN_FLOOD_S = 0.05
FLOOD_PER_S = 250.0
GIVES_WAY_S = 60.0


class Pace:
    """Ask for room with `enter`; tell it how many calls there ever were with `counted`."""

    def __init__(self) -> None:
        self.at_once = AT_ONCE_MAX
        # What is waited after each, in seconds, before its room is another's.
        self.rest_s = 0.0
        self._under_way = 0
        self._moved = asyncio.Condition()
        self._last: tuple[int, float] | None = None
        self._flood_since: float | None = None

    async def enter(self) -> None:
        """Wait until one more may be taken."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._under_way < self.at_once)
            self._under_way += 1

    async def leave(self) -> None:
        """One less is under way."""
        async with self._moved:
            self._under_way -= 1
            self._moved.notify()

    async def counted(self, arrived: int, at: float) -> None:
        """So many calls were ever recorded, at this moment (seconds of a steady clock)."""
        last, self._last = self._last, (arrived, at)
        if last is None or at <= last[1]:
            return
        if (arrived - last[0]) / (at - last[1]) < FLOOD_PER_S:
            self._flood_since = None
        elif self._flood_since is None:
            self._flood_since = last[1]
        gives_way = self._flood_since is not None and at - self._flood_since <= GIVES_WAY_S
        async with self._moved:
            self.at_once = AT_ONCE_IN_FLOOD if gives_way else AT_ONCE_MAX
            self.rest_s = REST_IN_FLOOD_S if gives_way else 0.0
            self._moved.notify_all()
