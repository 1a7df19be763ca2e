"""Exports: the five functions of the guest's contract, text in and text out.

One instance serves one Run (or one `prepare`). An error leaves as `Err` with the JSON of a Failure.
"""

import json
import marshal
from collections.abc import Callable
from typing import Any, Protocol

from staunch.deadline import RunTimeout

from pipelines.guest import trace
from pipelines.guest.dice import Dice
from pipelines.guest.driver import Driver
from pipelines.guest.failures import failure_of
from pipelines.guest.loading import Modules, NotAPipeline, Source, entries_of, sources_of
from pipelines.guest.printing import Printed
from pipelines.guest.rehearsal import Real, Rehearsal
from pipelines.guest.wire import canonical


class Err(Exception):
    """The `err` of an export; `text` is the JSON of a Failure."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Recorder(Protocol):
    """Keeps what importing a Bundle compiles (see `records`), or nothing."""

    def record(self) -> None:
        """Keep it from now on."""

    def recorded(self) -> Any:
        """What was kept, as marshal takes it; stops keeping."""

    def play(self, recorded: Any) -> None:
        """Use it instead of compiling."""


class NoRecords:
    """For the native kind."""

    def record(self) -> None:
        """Nothing is kept."""

    def recorded(self) -> Any:
        """Nothing was kept."""
        return None

    def play(self, recorded: Any) -> None:
        """Nothing is used."""


class Exports:
    """`tell` writes to the host's ear, `on_clock` sets the clocks."""

    def __init__(
        self,
        *,
        printed: Printed,
        dice: Dice,
        recorder: Recorder,
        on_clock: Callable[[float], None],
        tell: Callable[[str], None],
        rehearsal: Rehearsal | None = None,
    ) -> None:
        self.modules: Modules | None = None
        self._printed = printed
        self._dice = dice
        self._recorder = recorder
        self._on_clock = on_clock
        self._tell = tell
        self._rehearsal = rehearsal or Real()
        self._plan: Any = None
        self._timeout: RunTimeout | None = None
        self._asks: dict[str, Any] = {}
        self._concurrency: Any = None
        self._driver: Driver | None = None
        self._is_traced = False

    def ready(self, _: str) -> str:
        """Nothing but what a first call costs."""
        return ""

    def prepare(self, argument: str) -> str:
        """Compile a Bundle."""
        asked = json.loads(argument)
        files: dict[str, str] = asked["files"]
        if asked.get("trace"):
            trace.trace(set(files), self._tell)
        sources = sources_of(files)
        modules = self.modules = Modules(sources)
        modules.install()
        self._recorder.record()
        entries = entries_of(modules, files)
        kept = self._recorder.recorded()
        trace.stop()
        asks = {one["file"]: one["asks"] for one in entries if one.get("asks") is not None}
        code = marshal.dumps(({name: tuple(one) for name, one in sources.items()}, kept, asks))
        return json.dumps({"code": code.decode("latin-1"), "pipelines": entries})

    def load(self, argument: str) -> str:
        """Import one pipeline of a prepared Bundle."""
        file, _, code = argument.partition("\n")
        parts = marshal.loads(code.encode("latin-1"))  # noqa: S302 - only ever in here
        sources, kept, self._asks = parts
        modules = self.modules = Modules({name: Source(*one) for name, one in sources.items()})
        modules.install()
        self._recorder.play(kept)
        try:
            self._plan = modules.plan(file)
            self._timeout = modules.run_timeout(file)
            self._concurrency = modules.concurrency(file)
        except NotAPipeline as error:
            raise Err(canonical({**failure_of(error, modules.files), "file": file})) from None
        except BaseException as error:  # noqa: BLE001 - a module may raise anything, sys.exit too
            raise Err(canonical(failure_of(error, modules.files))) from None
        return ""

    def start(self, argument: str) -> str:
        """Give the Run its identity."""
        asked = json.loads(argument)
        assert self.modules is not None, "load comes first"
        self._dice.begin(asked["seed"])
        self._is_traced = asked.get("trace", False)
        self._driver = Driver(
            self._plan,
            self.modules.files,
            self._printed,
            concurrency=self._concurrency,
            asks=self._asks,
            seed=asked["seed"],
            at=asked["at"],
            on_clock=self._on_clock,
            timeout=self._timeout,
            rehearsal=self._rehearsal,
        )
        return ""

    def advance(self, argument: str) -> str:
        """Make Turns. With trace, the last of them is told line by line."""
        turns = json.loads(argument)["turns"]
        assert self._driver is not None and self.modules is not None, "start comes first"
        outcomes = []
        for number, turn in enumerate(turns, 1):
            if self._is_traced and number == len(turns):
                trace.trace(self.modules.files, self._tell)
            made = self._driver.turn(turn["inputs"], turn.get("memo"), turn.get("bytes", 0))
            outcomes.append(made)
        trace.stop()
        return '{"turns":[' + ",".join(outcomes) + "]}"
