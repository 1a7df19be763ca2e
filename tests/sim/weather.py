"""Weather: what the world does to every operation of an engine: delays, lost answers, deaths.

All of it comes from one stream of dice. An engine's life sees its ports through `Weathered`; people
and Runners have weather too, but do not die of it.
"""

import asyncio
import inspect
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ci_host.ports import Unavailable

# What may happen to an operation on its way; what is not named here is not on any way.
WRITES = {"create", "write", "append_turn", "append_input", "arm", "disarm", "publish", "cancel"}
READS = {
    "read",
    "inputs_after",
    "last_turn",
    "state",
    "started",
    "is_claimed",
    "get",
    "get_prepared",
}
HINTS = {"done", "later", "extend"}


class Killed(BaseException):
    """The engine's life ends here; nothing of it may catch this."""


@dataclass(slots=True)
class Weather:
    """How bad it is: chances for each operation. `deaths` is how many there may still be."""

    dice: Random
    delayed: float = 0.0
    unanswered: float = 0.0
    unheard: float = 0.0
    deadly: float = 0.0
    deaths: int = 0

    @staticmethod
    def of(dice: Random) -> "Weather":
        """Some seeds are calm, some have one trouble, some have all."""
        kind = dice.randrange(6)
        return Weather(
            dice,
            delayed=dice.choice([0.05, 0.3, 0.8]) if kind in (1, 4, 5) else 0.0,
            unanswered=dice.choice([0.01, 0.1]) if kind in (2, 5) else 0.0,
            unheard=dice.choice([0.01, 0.1]) if kind in (2, 5) else 0.0,
            deadly=dice.choice([0.01, 0.05, 0.2]) if kind in (3, 4, 5) else 0.0,
            deaths=dice.randrange(1, 8) if kind in (3, 4, 5) else 0,
        )

    def chance(self, of: float) -> bool:
        """Whether it happens this time."""
        return of > 0.0 and self.dice.random() < of

    async def delay(self) -> None:
        """Sometimes a moment, sometimes long; always a chance for others."""
        if self.chance(self.delayed):
            await asyncio.sleep(self.dice.choice([0.001, 0.02, 0.5, 7.0]))
        else:
            await asyncio.sleep(0)


@dataclass(slots=True)
class Life:
    """One life of one engine."""

    name: str
    weather: Weather
    over: asyncio.Event = field(default_factory=asyncio.Event)
    died_at: str = ""

    def die(self, at: str) -> None:
        """From here on nothing that this engine does reaches anybody."""
        self.died_at = at
        self.over.set()
        raise Killed

    def port(self, target: object) -> Any:
        """The port as this life sees it."""
        return Weathered(target, self)


class Weathered:
    """A port in bad weather."""

    def __init__(self, target: object, life: Life) -> None:
        self._target, self._life = target, life

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._target, name)
        if not inspect.iscoroutinefunction(real) or name not in WRITES | READS | HINTS:
            return real

        async def exposed(*arguments: object, **named: object) -> object:
            return await self._call(name, real, arguments, named)

        return exposed

    def __aiter__(self) -> Any:
        return self._target.__aiter__()  # type: ignore[attr-defined]

    async def _call(self, name: str, real: Any, arguments: Any, named: Any) -> object:
        life, weather = self._life, self._life.weather
        if life.over.is_set():
            raise Killed
        dies = weather.deaths > 0 and weather.chance(weather.deadly)
        if dies:
            weather.deaths -= 1
            if weather.chance(0.5):
                life.die(f"before {name}")
        await weather.delay()
        if life.over.is_set():
            raise Killed
        if weather.chance(weather.unheard):
            return _lost(name, "not heard")
        answer = await real(*arguments, **named)
        if dies:
            life.die(f"after {name}")
        await weather.delay()
        if life.over.is_set():
            raise Killed
        if weather.chance(weather.unanswered):
            return _lost(name, "answer lost")
        return answer


def _lost(name: str, how: str) -> None:
    # An acknowledgement is sent and forgotten: nobody waits for what becomes of it.
    if name not in HINTS:
        raise Unavailable(f"{name}: {how}")
