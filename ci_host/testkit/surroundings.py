"""Surroundings: what a plan finds in a sandbox and not in this process: its clock, and refusals.

It holds for the thread that is in the guest, and only while a call lasts: whatever else this
process does meanwhile has its own clock and network.
"""

import builtins
import datetime
import errno
import socket
import sys
import threading
import time
from collections.abc import Callable, Set
from typing import Any

from pipelines.bundle import FOLDER
from pipelines.guest.refusals import refuse_input, refuse_network, refuse_sleep

NANO = 1_000_000_000
_REAL_DATETIME = datetime.datetime
_REAL_DATE = datetime.date


class SandboxLike:
    """See `native.Surroundings`. One for each guest: what its code imported keeps this clock."""

    def __init__(self, modules: Set[str]) -> None:
        """`modules`: the top-level names of the pipeline's own modules."""
        self._importable = modules | sys.stdlib_module_names | {"staunch"}
        self._now = 0.0
        self._thread = 0
        self._real_time = time.time

    def show_clock(self, now: float) -> None:
        """The Run's time."""
        self._now = now

    def install(self) -> Callable[[], None]:
        """Put everything in place."""
        self._thread = threading.get_ident()
        places: list[tuple[Any, str, Any]] = [
            *((time, name, self._seconds) for name in ("time", "monotonic", "perf_counter")),
            *(
                (time, f"{name}_ns", self._nanoseconds)
                for name in ("time", "monotonic", "perf_counter")
            ),
            *((time, name, self._at(getattr(time, name))) for name in ("gmtime", "ctime")),
            (time, "localtime", self._at(time.gmtime)),
            (time, "sleep", refuse_sleep),
            (datetime, "datetime", _datetime(self._moment)),
            (datetime, "date", _date(self._moment)),
            (builtins, "__import__", self._guarded(builtins.__import__)),
            (builtins, "open", refuse_file),
            (builtins, "input", refuse_input),
            (socket.socket, "__init__", refuse_network),
            (socket, "getaddrinfo", refuse_network),
            (socket, "create_connection", refuse_network),
        ]
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
        for (owner, name, value), (_, _, real) in zip(places, before, strict=True):
            is_class = isinstance(value, type)
            setattr(owner, name, value if is_class else self._here(value, real))

        def undo() -> None:
            for owner, name, value in before:
                setattr(owner, name, value)

        return undo

    def _here(self, ours: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
        def either(*args: Any, **named: Any) -> Any:
            is_plan = threading.get_ident() == self._thread
            return ours(*args, **named) if is_plan else real(*args, **named)

        return either

    def _moment(self) -> float:
        return self._now if threading.get_ident() == self._thread else self._real_time()

    def _seconds(self) -> float:
        return self._now

    def _nanoseconds(self) -> int:
        return round(self._now * NANO)

    def _at(self, real: Callable[[float], Any]) -> Callable[..., Any]:
        def told(seconds: float | None = None) -> Any:
            return real(self._now if seconds is None else seconds)

        return told

    def _guarded(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def imported(name: str, where: Any = None, *rest: Any, **named: Any) -> Any:
            asker = (where or {}).get("__file__") or ""
            top = name.partition(".")[0]
            if asker.startswith(FOLDER) and top and top not in self._importable:
                raise ModuleNotFoundError(
                    f"No module named {top!r}: a pipeline has the standard library and the"
                    " modules beside it; what needs more belongs into a step.job",
                    name=top,
                )
            return real(name, where, *rest, **named)

        return imported


def refuse_file(name: object, *_: object, **__: object) -> None:
    """In place of open, as in a sandbox, in which there is no file at all."""
    raise FileNotFoundError(errno.ENOENT, "a plan has no files; put this into a step.job", name)


def _datetime(seconds: Callable[[], float]) -> type[_REAL_DATETIME]:
    class Kind(type):
        def __instancecheck__(cls, one: object) -> bool:
            return isinstance(one, _REAL_DATETIME)

    class RunDatetime(_REAL_DATETIME, metaclass=Kind):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            moment = cls.fromtimestamp(seconds(), datetime.UTC)
            return moment.replace(tzinfo=None) if tz is None else moment.astimezone(tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now()

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    return RunDatetime


def _date(seconds: Callable[[], float]) -> type[_REAL_DATE]:
    class Kind(type):
        def __instancecheck__(cls, one: object) -> bool:
            return isinstance(one, _REAL_DATE)

    class RunDate(_REAL_DATE, metaclass=Kind):
        @classmethod
        def today(cls) -> Any:
            moment = _REAL_DATETIME.fromtimestamp(seconds(), datetime.UTC)
            return cls(moment.year, moment.month, moment.day)

    return RunDate
