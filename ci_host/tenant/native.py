"""NativeImage: the guest run in this very process, on this very Python. For tests and simulation.

UNSAFE for code that is not our own: no limits, no isolation, and while a call lasts the process's
`random`, stdout and import system belong to the tenant (one call at a time, under a lock). The
driver and SDK are the same as in the sandbox, so what a plan decides is the same too.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from threading import RLock
from types import ModuleType
from typing import Protocol

from ci_host.tenant.guest import Guest, Refused
from pipelines.guest.dice import Dice
from pipelines.guest.exports import Err, Exports, NoRecords
from pipelines.guest.printing import Printed
from pipelines.guest.refusals import TESTING
from pipelines.guest.rehearsal import Rehearsal
from pipelines.ids import digest_of

_EXPORTS = ("ready", "prepare", "load", "start", "advance")


class Surroundings(Protocol):
    """What a guest in this process has around it besides the driver, while a call lasts."""

    def show_clock(self, now: float) -> None:
        """It is `now` from here on (seconds since the epoch)."""
        ...

    def install(self) -> Callable[[], None]:
        """Put it there; returns what takes it away."""
        ...


class Plain:
    """See Surroundings: this process as it is, with its own clock."""

    def show_clock(self, now: float) -> None:
        """Nobody looks."""

    def install(self) -> Callable[[], None]:
        """Nothing is changed."""
        return lambda: None


class NativeImage:
    """See `guest.GuestImage`."""

    boot_kind = "native"

    # What a call borrows is the whole process's, whichever image is called.
    _lock = RLock()

    @property
    def digest(self) -> str:
        """Bound to this Python: compiled code is."""
        return digest_of(f"native {sys.version}".encode())

    def boot(self) -> Guest:
        """A guest in this process."""
        return NativeGuest(self._lock)


class NativeGuest:
    """See `guest.Guest`. Its modules are in `sys.modules` only while a call lasts."""

    # It asks this process's own clock, past anybody who could notice.
    has_seen_clock = True

    def __init__(
        self,
        lock: RLock,
        surroundings: Surroundings | None = None,
        rehearsal: Rehearsal | None = None,
    ) -> None:
        self._lock = lock
        self._surroundings = surroundings or Plain()
        self._printed = Printed()
        self._dice = Dice()
        self._modules: dict[str, ModuleType] = {}
        self._exports = Exports(
            printed=self._printed,
            dice=self._dice,
            recorder=NoRecords(),
            on_clock=self._surroundings.show_clock,
            tell=lambda _: None,
            rehearsal=rehearsal,
        )

    def call(self, export: str, argument: str, *, now: float, seconds: float) -> str:
        """Call an export."""
        assert export in _EXPORTS, export
        self._surroundings.show_clock(now)
        with self._lock, self._inhabited():
            try:
                answer: str = getattr(self._exports, export)(argument)
            except Err as error:
                raise Refused(error.text) from error
        return answer

    def close(self) -> None:
        """Nothing is held."""

    @contextlib.contextmanager
    def _inhabited(self) -> Iterator[None]:
        before = dict(sys.modules)
        path = list(sys.meta_path)
        sys.modules.update(self._modules)
        mine = self._exports.modules
        if mine is not None:
            mine.install()
        # A plan that imports it must find what it finds in the sandbox: that it is not there.
        kit = _hidden(TESTING)
        undo = self._dice.install()
        take_away = self._surroundings.install()
        try:
            with (
                contextlib.redirect_stdout(self._printed),
                contextlib.redirect_stderr(self._printed),
            ):
                yield
        finally:
            take_away()
            undo()
            if kit is not None:
                _show(TESTING, kit)
            sys.meta_path[:] = path
            mine = self._exports.modules
            names = set(mine.sources) if mine is not None else set()
            self._modules = {name: sys.modules.pop(name) for name in names if name in sys.modules}
            sys.modules.update({name: before[name] for name in names if name in before})


def _hidden(name: str) -> ModuleType | None:
    package, _, inner = name.partition(".")
    if package in sys.modules:
        vars(sys.modules[package]).pop(inner, None)
    return sys.modules.pop(name, None)


def _show(name: str, module: ModuleType) -> None:
    package, _, inner = name.partition(".")
    sys.modules[name] = module
    setattr(sys.modules[package], inner, module)
