"""Crash points: a process that stands still at a named moment, so that somebody can die.

It is the real one: an agent in a phase of a job, or another; a module that Python loads first wraps
the calls that begin a phase. It stops the whole process there, once, where a file says so.
"""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

# Where each phase begins: a call of the agent's. Between are those in which it only waits.
CALLS = {
    "claimed": ("runners.preparation", "Preparation", "ready"),
    "placing files": ("runners.kept_files", "KeptFiles", "place"),
    "starting": ("runners.attempt", "Attempt", "_open_secrets"),
    "keeping files": ("runners.kept_files", "KeptFiles", "gather"),
    "reporting": ("runners.link.nats", "NatsLink", "finish"),
    "keeping the log": ("runners.kept_files", "KeptFiles", "keep_log"),
    "settling": ("runners.attempt", "Attempt", "settle"),
}
LOADED_FIRST = """\
import importlib, os, pathlib, signal, sys

folder = pathlib.Path(os.environ["CRASH_POINTS"])


def stop(phase):
    wanted = folder / "stop-at"
    try:
        if wanted.read_text() != phase:
            return
    except FileNotFoundError:
        return
    wanted.unlink()
    (folder / "stopped").write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)


def wrapped(call, phase):
    async def stopping(*words, **named):
        stop(phase)
        return await call(*words, **named)

    return stopping


if PROGRAM in sys.orig_argv:
    for phase, (module, name, method) in CALLS.items():
        owner = getattr(importlib.import_module(module), name)
        setattr(owner, method, wrapped(getattr(owner, method), phase))
"""


class CrashPoints:
    """Of the agents that are started with `environment`, or of whom else `program` is a word.

    `calls`: by the name of a moment the module, class and method that begin it.
    """

    def __init__(
        self,
        folder: Path,
        calls: Mapping[str, tuple[str, str, str]] = MappingProxyType(CALLS),
        program: str = "runners.bootstrap",
    ) -> None:
        self._folder = folder
        folder.mkdir()
        source = LOADED_FIRST.replace("CALLS.items()", f"{dict(calls)!r}.items()")
        source = source.replace("PROGRAM", repr(program))
        (folder / "sitecustomize.py").write_text(source)

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self._folder), "CRASH_POINTS": str(self._folder)}

    def stop_at(self, phase: str) -> None:
        """The next agent that comes there stops."""
        (self._folder / "stopped").unlink(missing_ok=True)
        fresh = self._folder / "stop-at.new"
        fresh.write_text(phase)
        fresh.replace(self._folder / "stop-at")

    def stopped(self) -> int | None:
        """The process that stands still; None: none does, yet."""
        path = self._folder / "stopped"
        text = path.read_text() if path.exists() else ""
        return int(text) if text and _stands_still(int(text)) else None


def go_on(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)


def _stands_still(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:
        return False
