"""Event: what happened on a Forge, in the one form that every forge's payload is parsed into.

It is what `run(event, step)` receives, and a part of the Run's History. Facts only: no trust is
derived from it. Forge-specific names stop at `webhooks/<forge>/parse.py`.
"""

from enum import StrEnum

import msgspec

ZERO_DIGITS = frozenset("0")


class EventKind(StrEnum):
    PUSH = "push"
    TAG = "tag"
    BRANCH_DELETE = "branch_delete"
    TAG_DELETE = "tag_delete"
    PULL_REQUEST = "pull_request"
    MERGE_GROUP = "merge_group"
    RELEASE = "release"
    MANUAL = "manual"
    SCHEDULE = "schedule"


class PullRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A pull or merge request at the moment of the event. `head_repo` is None if it was deleted."""

    number: int
    action: str
    title: str = ""
    author: str = ""
    base_ref: str
    base_commit: str = ""
    head_ref: str
    head_repo: str | None = None
    is_fork: bool = False
    is_draft: bool = False
    labels: list[str] = []


class Scheduled(msgspec.Struct, frozen=True, kw_only=True):
    """The schedule that began a Run, and the exact time for which (`due`, seconds since the epoch).

    `overlap` is the schedule's: `queue` and `cancel` are kept by the Run itself.
    """

    name: str
    cron: str
    tz: str
    due: float
    overlap: str


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What was published under the event's tag. `name` is what people called it."""

    name: str = ""
    is_prerelease: bool = False


class MergeGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Pull requests that are about to be merged together. `base_ref`: the branch's short name."""

    base_ref: str
    base_commit: str = ""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `commit` is a full commit id, or empty where something was deleted.

    `ref` is full (`refs/heads/main`); `branch` and `tag` are its short forms or empty. For a pull
    request `ref` is the head's ref as the base repository knows it (`refs/pull/7/head`).
    """

    kind: EventKind
    ref: str = ""
    commit: str = ""
    before: str = ""
    sender: str = ""
    message: str = ""
    delivery: str = ""
    forced: bool = False
    pull_request: PullRequest | None = None
    schedule: Scheduled | None = None
    release: Release | None = None
    merge_group: MergeGroup | None = None

    @property
    def branch(self) -> str:
        """The branch's short name; empty for tags and pull requests."""
        return self.ref.removeprefix("refs/heads/") if self.ref.startswith("refs/heads/") else ""

    @property
    def tag(self) -> str:
        """The tag's short name, or empty."""
        return self.ref.removeprefix("refs/tags/") if self.ref.startswith("refs/tags/") else ""


def is_zero(commit: str) -> bool:
    """Whether git means "no commit": 40 zeros, or 64 in a sha256 repository."""
    return bool(commit) and set(commit) <= ZERO_DIGITS
