"""What the guest may ask of the host: clocks that we set, dice that we throw, and nothing else.

Every import that is not defined here traps, with its name. Two rules of wasmtime-py hold for all of
these functions, because its exceptions and one of its caches are shared by all threads: they never
raise, and they answer numbers, records and lists only, never an option, result or variant.
"""

import hashlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import wasmtime
from wasmtime import component

NANOSECONDS = 1_000_000_000
TOLD_LINES_MAX = 64
RANDOM_BYTES_MAX = 65_536


@dataclass(slots=True)
class World:
    """What one instance sees. Its thread sets it as current before every call."""

    now: float = 0.0
    has_seen_clock: bool = False
    told: deque[str] = field(default_factory=lambda: deque(maxlen=TOLD_LINES_MAX))
    drawn: int = 0

    def draw(self, size: int) -> bytes:
        """The next bytes of a stream that is the same for every instance.

        A Run's own randomness is made in the guest from the Run's seed (`pipelines/guest/dice.py`);
        this is what is left of C code that asks, and it must not differ between two boots.
        """
        self.drawn += 1
        return hashlib.shake_128(f"staunch {self.drawn}".encode()).digest(size)


@dataclass(frozen=True, slots=True)
class Datetime:
    """A record of wasi:clocks."""

    seconds: int
    nanoseconds: int


class Imports:
    """The host's side of the world, shared by all instances of a process."""

    def __init__(self) -> None:
        self._current = threading.local()

    def enter(self, world: World) -> None:
        """This thread's calls are for this instance now."""
        self._current.world = world

    def define(
        self, linker: component.Linker, guest: component.Component, engine: wasmtime.Engine
    ) -> None:
        """Define them in the linker, and traps for all others."""
        versions = {name.partition("@")[0]: name for name in guest.type.imports(engine)}
        with linker.root() as root:
            root.add_func("set-now", self._set_now)
            root.add_func("tell", self._tell)
            for interface, functions in self._wasi().items():
                if interface in versions:
                    with root.add_instance(versions[interface]) as instance:
                        for name, function in functions.items():
                            instance.add_func(name, function)
        linker.define_unknown_imports_as_traps(guest)

    def _wasi(self) -> dict[str, dict[str, Callable[..., Any]]]:
        return {
            "wasi:clocks/wall-clock": {
                "now": self._wall_now,
                "resolution": lambda _: Datetime(0, 1),
            },
            "wasi:clocks/monotonic-clock": {
                "now": lambda _: int(self._time() * NANOSECONDS),
                "resolution": lambda _: 1,
            },
            "wasi:random/random": {
                "get-random-bytes": lambda _, size: self._world().draw(min(size, RANDOM_BYTES_MAX)),
                "get-random-u64": lambda _: int.from_bytes(self._world().draw(8), "little"),
            },
            "wasi:cli/environment": {
                "get-environment": lambda _: [],
                "get-arguments": lambda _: [],
            },
            "wasi:filesystem/preopens": {"get-directories": lambda _: []},
        }

    def _world(self) -> World:
        world: World = self._current.world
        return world

    def _time(self) -> float:
        world = self._world()
        world.has_seen_clock = True
        return world.now

    def _wall_now(self, _: object) -> Datetime:
        now = self._time()
        seconds = int(now)
        return Datetime(seconds, min(int((now - seconds) * NANOSECONDS), NANOSECONDS - 1))

    def _set_now(self, _: object, at: float) -> None:
        self._world().now = max(0.0, at)

    def _tell(self, _: object, text: str) -> None:
        self._world().told.append(text)
