"""WasmImage and WasmGuest: the Guest port over wasmtime. One instance, one Store, one World.

After a trap an instance is dead; only `close` is left. A Store is never used by two threads at
once, and the calling thread needs `tenant.limits.STACK_BYTES` of stack.
"""

import re
import threading
import time
from pathlib import Path
from typing import Any

import wasmtime
from wasmtime import component

from ci_host.adapters.wasm import config, image
from ci_host.adapters.wasm.wasi import Imports, World
from ci_host.tenant.guest import Breach, Refused, Trapped
from ci_host.tenant.limits import TICK_S, Limits
from ci_host.tenant.sandbox import SandboxStarved

EXPORTS = ("ready", "prepare", "load", "start", "advance")
BOOT_S = 30.0

# What a component of this kind needs; see set_limits of wasmtime for what they count.
TABLE_ELEMENTS_MAX = 20_000
INSTANCES_MAX = 60
TABLES_MAX = 20
MEMORIES_MAX = 4

# Under this part of its time on a processor, a stopped call was starved and not greedy.
STARVED_BELOW = 0.5

_unknown = re.compile(r"unknown import: `([^`]+)`|import `([^`]+)` has not been defined")


class Ticker:
    """Moves an engine's epoch while calls are under way, by processor time and not by the clock.

    A process that gets no processor does not use up its tenants' time, and calls that share one
    each get their part: a tick is what one call can have had of it.
    """

    def __init__(self, engine: wasmtime.Engine) -> None:
        self._engine = engine
        self._calls = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._tick, name="sandbox-ticker", daemon=True)
        self._thread.start()

    def __enter__(self) -> None:
        with self._changed:
            self._calls += 1
            if self._calls == 1:
                self._changed.notify()

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._calls -= 1

    def close(self) -> None:
        """Stop the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _tick(self) -> None:
        owed, seen = 0.0, time.process_time()
        while True:
            with self._changed:
                while not self._calls and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                sharing = self._calls
            time.sleep(TICK_S)
            now = time.process_time()
            owed = min(owed + (now - seen) / sharing, 4 * TICK_S)
            seen = now
            if owed >= TICK_S * 0.9:
                owed = max(0.0, owed - TICK_S)
                self._engine.increment_epoch()


class WasmImage:
    """See `tenant.guest.GuestImage`. One a process; `close` it last."""

    boot_kind = "wasm-ready-1"

    def __init__(
        self,
        cache: Path,
        limits: Limits,
        on_progress: image.Progress,
        *,
        digest: str | None = None,
    ) -> None:
        """The image of this installation's sources, built if need be; or the one of this digest.

        Raises ImageUnavailable.
        """
        self.limits = limits
        self.engine = config.engine()
        if digest is None:
            self.files = image.provide(cache, self.engine, on_progress)
        else:
            self.files = image.of_digest(cache, digest, self.engine, on_progress)
        self.guest = _deserialized(self.engine, self.files.compiled)
        self.imports = Imports()
        self.linker = component.Linker(self.engine)
        self.imports.define(self.linker, self.guest, self.engine)
        self.ticker = Ticker(self.engine)

    @property
    def digest(self) -> str:
        """The digest of the wasm."""
        return self.files.digest

    def boot(self) -> "WasmGuest":
        """Instantiate and `ready`: the same on every boot."""
        guest = WasmGuest(self)
        guest.call("ready", "", now=0.0, seconds=BOOT_S)
        return guest

    def close(self) -> None:
        """Stop ticking. Instances must be closed before."""
        self.ticker.close()


class WasmGuest:
    """See `tenant.guest.Guest`."""

    def __init__(self, image: WasmImage) -> None:
        self._image = image
        self._world = World()
        self._dead = False
        store = wasmtime.Store(image.engine)
        store.set_limits(
            memory_size=image.limits.memory_bytes,
            table_elements=TABLE_ELEMENTS_MAX,
            instances=INSTANCES_MAX,
            tables=TABLES_MAX,
            memories=MEMORIES_MAX,
        )
        store.set_epoch_deadline(_ticks(BOOT_S))
        image.imports.enter(self._world)
        instance = image.linker.instantiate(store, image.guest)
        found = {name: instance.get_func(store, name) for name in EXPORTS}
        assert all(function is not None for function in found.values()), "an export is missing"
        self._functions: dict[str, Any] = found
        self._store: wasmtime.Store | None = store

    @property
    def has_seen_clock(self) -> bool:
        """Whether it asked for the time so far."""
        return self._world.has_seen_clock

    def call(self, export: str, argument: str, *, now: float, seconds: float) -> str:
        """Call an export."""
        assert self._store is not None, "the instance is closed"
        assert not self._dead, "the instance is dead"
        world = self._world
        world.now = max(world.now, now)
        self._image.imports.enter(world)
        self._store.set_epoch_deadline(_ticks(seconds))
        used = time.thread_time()
        try:
            with self._image.ticker:
                answer = self._functions[export](self._store, argument)
        except wasmtime.WasmtimeError as error:
            self._dead = True
            raise self._trapped(str(error), seconds, time.thread_time() - used) from error
        text: str = answer.payload
        if answer.tag != "ok":
            raise Refused(text)
        if len(text) > self._image.limits.answer_chars_max:
            self._dead = True
            raise Trapped(Breach.OUTPUT, f"{len(text)} characters in one answer", "")
        return text

    def close(self) -> None:
        """Give the memory back."""
        store, self._store = self._store, None
        self._functions = {}
        if store is not None:
            store.close()

    def _trapped(self, text: str, seconds: float, used: float) -> Exception:
        told = "".join(self._world.told)
        unknown = _unknown.search(text)
        if "wasm trap: interrupt" in text:
            if used < seconds * STARVED_BELOW:
                return SandboxStarved(f"{used:.2f} of {seconds:g} s could be used")
            return Trapped(Breach.TIME, f"{used:.1f} s", told)
        if "call stack exhausted" in text:
            return Trapped(Breach.STACK, "", told)
        if unknown is not None:
            return Trapped(Breach.FORBIDDEN, unknown[1] or unknown[2], told)
        return Trapped(Breach.CRASH, text.strip().splitlines()[-1], told)


def _ticks(seconds: float) -> int:
    return max(1, round(seconds / TICK_S))


def _deserialized(engine: wasmtime.Engine, path: Path) -> component.Component:
    # Read it once in order: mapping a file that is not in memory yet costs ten times as much.
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass
    try:
        return component.Component.deserialize_file(engine, str(path))
    except wasmtime.WasmtimeError as error:
        raise image.ImageUnavailable(
            f"{path} cannot be loaded: {error}; delete it, and it is made again"
        ) from error
