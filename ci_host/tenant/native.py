"""NativeImage: the guest run in this very process, on this very Python. For tests and simulation.

UNSAFE for code that is not our own: no limits, no isolation, and while a call lasts the process's
`random`, stdout and import system belong to the tenant (one call at a time, under a lock). The
driver and SDK are the same as in the sandbox, so what a plan decides is the same too.
"""

import contextlib
import sys
from collections.abc import Iterator
from threading import RLock
from types import ModuleType

from ci_host.tenant.guest import Guest, Refused
from pipelines.guest.dice import Dice
from pipelines.guest.exports import Err, Exports, NoRecords
from pipelines.guest.printing import Printed
from pipelines.ids import digest_of

_EXPORTS = ("ready", "prepare", "load", "start", "advance")


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

    def __init__(self, lock: RLock) -> None:
        self._lock = lock
        self._printed = Printed()
        self._dice = Dice()
        self._modules: dict[str, ModuleType] = {}
        self._exports = Exports(
            printed=self._printed,
            dice=self._dice,
            recorder=NoRecords(),
            on_clock=lambda _: None,
            tell=lambda _: None,
        )

    def call(self, export: str, argument: str, *, now: float, seconds: float) -> str:
        """Call an export."""
        assert export in _EXPORTS, export
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
        undo = self._dice.install()
        try:
            with (
                contextlib.redirect_stdout(self._printed),
                contextlib.redirect_stderr(self._printed),
            ):
                yield
        finally:
            undo()
            sys.meta_path[:] = path
            mine = self._exports.modules
            names = set(mine.sources) if mine is not None else set()
            self._modules = {name: sys.modules.pop(name) for name in names if name in sys.modules}
            sys.modules.update({name: before[name] for name in names if name in before})
