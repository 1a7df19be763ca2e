"""Running: what a data directory says of the installation that runs from it. No more than that: it
is read by every command of the command line, which must begin at once."""

import os
from pathlib import Path

import msgspec

FILE = "running.json"


class RunningState(msgspec.Struct, frozen=True):
    """`running.json` in the data directory: where this installation is, and its process ids."""

    url: str
    nats_url: str
    supervisor: int
    processes: dict[str, int]


def read_state(data: Path) -> RunningState | None:
    """Where the installation in this directory runs, or None; one that was killed does not."""
    try:
        state = msgspec.json.decode((data / FILE).read_bytes(), type=RunningState)
        os.kill(state.supervisor, 0)
    except PermissionError:
        return state
    except (OSError, msgspec.MsgspecError):
        return None
    return state
