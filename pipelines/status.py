"""Status: what a Forge shows on a commit, and how a Run's state maps to it.

Every final state maps to something final: a commit is never left pending by a Run that is over,
unless another goes on where it ended.
"""

import hashlib
from enum import StrEnum

import msgspec

from pipelines.event import Event, EventKind
from pipelines.job import Annotation
from pipelines.run import RunState

CONTEXT = "staunch"
DESCRIPTION_CHARS_MAX = 140
# What GitHub takes of the summary of a check.
SUMMARY_BYTES_MAX = 65_535
ANNOTATIONS_MAX = 500
# Of all annotations of a Status: it must fit into one message of the bus.
ANNOTATIONS_BYTES_MAX = 1_048_576
GATE_MARK_CHARS = 12
PLACE_CHARS = 24
FENCE = "```"


# What is told of a push has the bare name; a group of a merge queue answers for its pull requests,
# and a Forge that requires a check of these looks for one of the same name there.
WORDS = {
    EventKind.PULL_REQUEST: "pull request",
    EventKind.MERGE_GROUP: "pull request",
    EventKind.TAG: "tag",
    EventKind.RELEASE: "release",
    EventKind.MANUAL: "manual",
}


class StatusState(StrEnum):
    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


class Standing(StrEnum):
    """How it stands, for Forges that have more words than a StatusState.

    `queued`: nothing of it has begun. `waiting`: for a person. `errored`: the pipeline itself is
    wrong. `skipped`: nothing was to be done, and nobody is to be held up by it.
    """

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"


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
# Of a Status that says no more.
OF_STATE: dict[StatusState, Standing] = {
    StatusState.PENDING: Standing.RUNNING,
    StatusState.SUCCESS: Standing.SUCCEEDED,
    StatusState.FAILURE: Standing.FAILED,
    StatusState.ERROR: Standing.ERRORED,
}


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to tell a Forge: the newest per (repo, commit, context) is what counts.

    `id` is derived from Run, Turn and context, so telling it twice is the same telling. For Forges
    that show more: `standing` None is what `state` says; `run`: whose it is, of Runs that go on as
    others the first, and `is_last` with which that is over; `began_at` 0: not known; `summary` is
    Markdown; `gate`: the mark of a gate that a button may answer; empty: none may. `again_of`: the
    id of one that was told in vain and is told once more, if nothing newer was told since.
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
    standing: Standing | None = None
    run: str = ""
    is_last: bool = False
    began_at: float = 0.0
    summary: str = ""
    annotations: list[Annotation] = []
    gate: str = ""
    again_of: str = ""

    @property
    def place(self) -> str:
        """What is told of it, in a digest: of all Statuses of one place the newest alone counts.

        Of each Run by itself: a Forge may show the one of another beside it.
        """
        name = "\n".join((self.repo, self.commit, self.context, self.run))
        return hashlib.sha256(name.encode()).hexdigest()[:PLACE_CHARS]

    @property
    def stands(self) -> Standing:
        """How it stands."""
        return self.standing or OF_STATE[self.state]


def context_of(event: Event, pipeline: str = "") -> str:
    """The name under which a Forge is told what a pipeline (empty: all of them) came to.

    By the kind of the event alone, never by what else ran: so that what one event came to never
    covers what another one of the same commit did.
    """
    name = f"{CONTEXT}/{pipeline}" if pipeline else CONTEXT
    word = event.schedule.name if event.schedule is not None else WORDS.get(event.kind, "")
    return f"{name} ({word})" if word else name


def gate_mark(run: str, key: str) -> str:
    """By which a button names one gate of one Run, of a chain of Runs too, in few characters."""
    return hashlib.sha256(f"{run} {key}".encode()).hexdigest()[:GATE_MARK_CHARS]


def shorten(text: str, limit: int = DESCRIPTION_CHARS_MAX) -> str:
    """The text in one line of at most `limit` characters, with an ellipsis where it was cut."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def cut(markdown: str, bytes_max: int, more: str) -> str:
    """The text in at most so many bytes of UTF-8; where it was cut, after a whole line if there is
    one, it ends with `more`, outside of any block of code."""
    content = markdown.encode("utf-8", "replace")
    if len(content) <= bytes_max:
        return content.decode()
    end = f"\n\n{more}"
    room = bytes_max - len(end.encode()) - len(FENCE) - 1
    assert room >= 0, "what is said of the cut must fit"
    kept = content[:room].decode("utf-8", "ignore")
    kept = kept[: kept.rfind("\n")] if "\n" in kept else kept
    is_open = sum(line.lstrip().startswith(FENCE) for line in kept.split("\n")) % 2
    return kept + (f"\n{FENCE}" if is_open else "") + end
