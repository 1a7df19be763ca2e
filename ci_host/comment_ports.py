"""Ports of what is written under pull requests: the records, where they are kept, who writes.

One PullReport for each pull request is all that its comment is made of; whatever happens replaces
it. Each port has a contract suite under tests/contract.
"""

from typing import Protocol

import msgspec

from pipelines.ids import RunId
from pipelines.status import Standing
from webhooks.forge import Refused, SendLater, Sent


class FailedJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A Job that did not succeed in a Run that did not. `tests`: of its `tests_failed` the first.

    `job`: its last Attempt; the log of that has `log_bytes`.
    """

    key: str
    job: str
    message: str = ""
    log_bytes: int = 0
    tests: list[str] = []
    tests_failed: int = 0


class RunLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How what is told under one `context` stands. `run` empty: it is of no Run.

    `turn`: as of which of its Turns; `began_at`: seconds since the epoch, 0 if nobody saw it begin.
    """

    context: str
    standing: Standing
    said: str
    url: str
    run: str = ""
    turn: int = 0
    began_at: float = 0.0
    failed: list[FailedJob] = []


class PullReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="report"):
    """What is known of a pull request at its newest `commit`, by context.

    `repo` is the Repo's id. `head_at`: since when that commit is known. `is_news`: something of it
    has failed, or waited for somebody, at this commit or an earlier one: it is worth a comment.
    """

    connection: str
    repo: str
    repo_name: str
    number: int
    commit: str
    head_at: float
    lines: dict[str, RunLine]
    is_news: bool = False


class CommandAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="answer"):
    """What became of a command in a comment, for whoever wrote it. `comment`: its id there."""

    connection: str
    repo: str
    repo_name: str
    number: int
    comment: str
    word: str
    accepted: bool
    said: str


class TakenCommand(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A command since it was first taken: what it meant then, and what came of it once `is_done`.

    `wish` names it: by the comment's id, or by the Delivery's where the Forge gives none. `meant`:
    the Runs it is for, of `commit`, and `gate` the one to be opened. `said`: why it `is_refused`,
    or what was done; `begun`: the Runs that began.
    """

    repo: str
    wish: str
    commit: str = ""
    meant: list[RunId] = []
    gate: str = ""
    is_done: bool = False
    is_refused: bool = False
    said: str = ""
    begun: list[RunId] = []


class CommentBook(Protocol):
    """The reports, changed by compare-and-set, the answers, and which commands were taken.

    Any method may raise Unavailable. Reports and answers are handed out by a Queue for each
    Connection, of each pull request the newest report alone; commands are not.
    """

    async def read(self, connection: str, repo: str, number: int) -> tuple[int, PullReport | None]:
        """(revision, report); (0, None) where there is none."""

    async def write(self, report: PullReport, *, after: int) -> None:
        """Replace it if its revision still is `after`. Raises Conflict."""

    async def answer(self, answer: CommandAnswer) -> None:
        """Durable; a second one to the same comment changes nothing."""

    async def taken(self, repo: str, wish: str) -> TakenCommand | None:
        """The newest that is known of this command; None: it was never taken."""

    async def take(self, command: TakenCommand) -> TakenCommand:
        """Durable, before anything is done; answers the one that stands, which is the first."""

    async def finish(self, command: TakenCommand) -> None:
        """Durable, after everything is done; in the place of what was taken."""


class LogTails(Protocol):
    """The ends of Jobs' logs."""

    async def last_lines(self, job: str, log_bytes: int, count: int) -> list[str]:
        """At most `count` lines; empty where there is nothing to read, or nothing any more."""


class CommentSender(Protocol):
    """Writes under pull requests. See webhooks.commenter.Commenter."""

    async def show(
        self, connection: str, repo: str, name: str, number: int, marker: str, text: str,
        *, attempt: int,
    ) -> Sent | SendLater | Refused:  # fmt: skip
        """See to it that exactly one comment of ours begins with `marker`, and says `text`."""

    async def react(
        self, connection: str, repo: str, name: str, number: int, comment: str,
        *, attempt: int,
    ) -> Sent | SendLater | Refused:  # fmt: skip
        """Show on somebody's comment that it was obeyed."""
