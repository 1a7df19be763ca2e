"""Plain git's webhook, which is our own (`hook.py` sends it): one call per push, all its refs.

Pure. `changes` are the lines of post-receive: `old`, `new`, `ref`; `commit` is what `new` peels
to, where the hook could find out.
"""

from collections.abc import Mapping, Sequence

import msgspec

from pipelines.event import Event, EventKind
from pipelines.repo import ForgeKind
from webhooks.errors import Malformed
from webhooks.forge import Ignored, ParsedEvent
from webhooks.payload import (
    CHANGES_MAX,
    commit_of,
    decode,
    external_id_of,
    message_of,
    name_of,
    ref_of,
)
from webhooks.signature import verify_standard


class _Change(msgspec.Struct):
    old: str
    new: str
    ref: str
    commit: str = ""
    message: str = ""
    forced: bool = False


class _Push(msgspec.Struct):
    repo: str
    changes: list[_Change]
    name: str = ""
    pusher: str = ""


class PlainGit:
    """See Forge."""

    kind = ForgeKind.GIT

    def verify(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float
    ) -> None:
        """See Forge. Standard Webhooks: the signature covers the time."""
        verify_standard(
            headers.get("webhook-id", ""),
            headers.get("webhook-timestamp", ""),
            headers.get("webhook-signature", ""),
            body,
            secrets=secrets,
            now=now,
        )

    def delivery_id(self, headers: Mapping[str, str]) -> str:
        """See Forge."""
        return headers.get("webhook-id", "")

    def event_name(self, headers: Mapping[str, str]) -> str:
        """See Forge. The hook knows one event only."""
        return "push"

    def ignores(self, event: str) -> Ignored | None:
        """See Forge."""
        if event == "push":
            return None
        return Ignored(f"a plain git repository tells of pushes, not of {name_of(event)!r}")

    def parse(self, event: str, body: str | bytes) -> list[ParsedEvent] | Ignored:
        """See Forge. Refs that are neither branch nor tag are left out."""
        if ignored := self.ignores(event):
            return ignored
        push = decode(body, _Push, "post-receive")
        if len(push.changes) > CHANGES_MAX:
            raise Malformed(f"{len(push.changes)} refs in one push; at most {CHANGES_MAX} are read")
        parsed = [_parsed(push, change) for change in push.changes if _is_ours(change)]
        return parsed or Ignored("the push changed no branch and no tag")


def _is_ours(change: _Change) -> bool:
    return ref_of(change.ref).startswith(("refs/heads/", "refs/tags/"))


def _parsed(push: _Push, change: _Change) -> ParsedEvent:
    is_tag = change.ref.startswith("refs/tags/")
    commit = commit_of(change.new, "new")
    if commit:
        kind = EventKind.TAG if is_tag else EventKind.PUSH
        commit = commit_of(change.commit, "commit") if change.commit else commit
    else:
        kind = EventKind.TAG_DELETE if is_tag else EventKind.BRANCH_DELETE
    event = Event(
        kind=kind,
        ref=change.ref,
        commit=commit,
        before=commit_of(change.old, "old"),
        sender=name_of(push.pusher),
        message=message_of(change.message),
        forced=change.forced,
    )
    return ParsedEvent(external_id=external_id_of(push.repo), name=name_of(push.name), event=event)
