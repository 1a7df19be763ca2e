"""Announcement: what programs outside are told of Runs; and a Subscription to some of them.

An Announcement is a CloudEvents 1.0 event (https://github.com/cloudevents/spec): `kind` is its
type without the prefix, `id` is unique, and the same when it is told twice.
"""

from enum import StrEnum
from typing import Any

import msgspec

TYPE_PREFIX = "dev.staunch."
PATTERN_OF_ID = r"^[a-z0-9][a-z0-9-]{0,62}$"


class AnnouncementKind(StrEnum):
    RUN_STARTED = "run.started"
    RUN_PAUSED = "run.paused"
    RUN_FINISHED = "run.finished"
    GATE_WAITING = "gate.waiting"
    GATE_ANSWERED = "gate.answered"
    STEP_FAILED = "step.failed"
    # Sent when somebody asks for it, and never streamed.
    PING = "ping"


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """`number`: its place among those of one Turn. `at`: seconds since the epoch, the Run's time.

    `data` is what the event carries; every kind has `run`, `url`, `repo`, `repo_name`, `pipeline`,
    `commit`, `ref`, `event` and `attempt`.
    """

    kind: AnnouncementKind
    repo: str
    run: str
    turn: int
    number: int
    at: float
    data: dict[str, Any]

    @property
    def id(self) -> str:
        """Unique, and the same however often it is told."""
        return f"{self.run}.{self.turn}.{self.number}"


def decode_announcement(body: bytes) -> Announcement:
    """As it is on the bus. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(body, type=Announcement)


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """Where Announcements are sent, and which.

    `secrets`: the first signs; those behind it sign too, so that a receiver may change over.
    `repos`, `kinds` empty: all. `after`: those up to this place of the stream came before it.
    `removed`: nothing is sent any more. `stopped`: why it sends nothing, or empty.
    """

    id: str
    url: str
    secrets: list[str]
    repos: list[str] = []
    kinds: list[AnnouncementKind] = []
    after: int = 0
    by: str = ""
    created_at: float = 0.0
    stopped: str = ""
    removed: bool = False

    def wants(self, one: Announcement) -> bool:
        """Whether this is sent to it."""
        if self.removed or self.stopped:
            return False
        return (not self.repos or one.repo in self.repos) and (
            not self.kinds or one.kind in self.kinds
        )
