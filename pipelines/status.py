"""Status: what a Forge shows on a commit, and how a Run's state maps to it.

Every final state maps to something final: a commit is never left pending by a Run that is over,
unless another goes on where it ended.
"""

from enum import StrEnum

import msgspec

from pipelines.run import RunState

DESCRIPTION_CHARS_MAX = 140


class StatusState(StrEnum):
    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


OF_RUN: dict[RunState, StatusState] = {
    RunState.PENDING: StatusState.PENDING,
    RunState.RUNNING: StatusState.PENDING,
    RunState.PAUSED: StatusState.PENDING,
    RunState.SUCCEEDED: StatusState.SUCCESS,
    RunState.FAILED: StatusState.FAILURE,
    RunState.CANCELLED: StatusState.ERROR,
    # Its successor tells how it ends.
    RunState.CONTINUED: StatusState.PENDING,
}


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell a Forge: the newest per (repo, commit, context) is what counts.

    `id` is derived from Run, Turn and context, so telling it twice is the same telling.
    """

    id: str
    connection: str
    repo: str
    repo_name: str
    commit: str
    context: str
    state: StatusState
    description: str
    target_url: str
    at: float


def shorten(text: str, limit: int = DESCRIPTION_CHARS_MAX) -> str:
    """The text in one line of at most `limit` characters, with an ellipsis where it was cut."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
