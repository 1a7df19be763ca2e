"""Shell: a terminal in the sandbox of a Job that waits after a failed step.

Here: for how long a Job may wait, who may open a terminal in it, and what host and Runner say to
each other of it. Pure. How bytes travel is each side's; docs/bus.md has the subjects.
"""

import re
from collections.abc import Sequence

import msgspec

WAIT_S_DEFAULT = 1_800.0
WAIT_S_MAX = 14_400.0
# A frame is one byte of these, then its content. Into the sandbox: what is typed, columns and rows
# as JSON, and how many bytes were shown so far, so that a Runner sends no more than is looked at.
TYPED, RESIZED, SHOWN = b"t", b"r", b"s"
# Out of it: what the terminal says, and why it ended. Both ways: a sign of life.
SAID, ENDED, ALIVE = b"o", b"e", b"p"
ALIVE_EVERY_S = 3.0
SILENCE_S_MAX = 12.0
# So much may be on its way before somebody has seen it.
UNSEEN_BYTES_MAX = 262_144
TYPED_BYTES_MAX = 65_536
SIDE_MAX = 1_000
TERM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}\Z")


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """The wish of a person, `by` name, that the Jobs of a Run wait after a failed step."""

    seconds: float
    by: str


class Standby(msgspec.Struct, frozen=True, kw_only=True):
    """A Job that waits for a terminal: `standby.<job id>.state`. Times: seconds since the epoch."""

    job: str
    runner: str
    step: str
    exit_code: int
    since: float
    until: float


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Of a terminal, in characters."""

    columns: int = 80
    rows: int = 24

    @property
    def is_possible(self) -> bool:
        """Whether there can be such a terminal."""
        return 0 < self.columns <= SIDE_MAX and 0 < self.rows <= SIDE_MAX


class ShellAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The host lets somebody, `by` name, open a terminal. `ends`: end the wait instead."""

    job: str
    session: str
    by: str
    size: Size = Size()
    term: str = "dumb"
    ends: bool = False


class ShellTold(msgspec.Struct, frozen=True, kw_only=True):
    """The Runner's answer: empty, or why there is no terminal."""

    refused: str = ""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Who had a terminal, when, and how it ended: `standby.<job id>.<session id>`.

    Written before the terminal is opened and once more at its end; `closed_at` None: it is open, or
    its host died meanwhile.
    """

    id: str
    job: str
    by: str
    opened_at: float
    closed_at: float | None = None
    why: str = ""


def state(job: str) -> str:
    """Where it is kept that a Job waits: a Standby."""
    return f"standby.{job}.state"


def session_of(job: str, session: str) -> str:
    """Where a Session is kept."""
    return f"standby.{job}.{session}"


def asks(runner: str, job: str) -> str:
    """Where a Runner is asked for a terminal in a Job that it keeps. Not stored."""
    return f"shell.{runner}.{job}.open"


def typed(runner: str, job: str, session: str) -> str:
    """Frames into the sandbox. Not stored."""
    return f"shell.{runner}.{job}.{session}.in"


def said(runner: str, job: str, session: str) -> str:
    """Frames out of it. Not stored."""
    return f"shell.{runner}.{job}.{session}.out"


def may_open(
    name: str, teams: Sequence[str], *, debuggers: Sequence[str], wisher: str, is_confided: bool
) -> bool:
    """Whether this person, no administrator, may have a terminal in a Job.

    `debuggers`: names and `@team` that the pipeline gives; `wisher`: who had the Run's Jobs wait.
    Whoever is in the sandbox can read its secrets: a wish alone is not enough for those.
    """
    if name in debuggers or any(f"@{team}" in debuggers for team in teams):
        return True
    return bool(wisher) and name == wisher and not is_confided
