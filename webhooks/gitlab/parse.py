"""GitLab's webhooks into events: push (branches, deletes), tag_push, merge_request,
commands in comments (note), and releases.

Pure. Events are called by GitLab's `object_kind`: the header says "Tag Push Hook", the payload
"tag_push". GitLab switches a webhook off after a few refusals, so all else is ignored, not refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pipelines.event import Event, EventKind, PullRequest
from pipelines.repo import ForgeKind
from pipelines.trigger import READY
from webhooks.comments import NO_PULL_REQUEST, commanded
from webhooks.errors import Malformed
from webhooks.forge import Ignored, ParsedEvent
from webhooks.life_cycle import CLOSED, MERGED, unbuilt
from webhooks.payload import (
    LABELS_MAX,
    commit_of,
    decode,
    external_id_of,
    message_of,
    name_of,
    number_of,
    ref_of,
)
from webhooks.releases import UNPUBLISHED, released
from webhooks.signature import STANDARD_SECRET_PREFIX, verify_plain, verify_standard

EVENTS = ("push", "tag_push", "merge_request", "note", "release")
# Theirs to ours. An update is one where it brought commits, or ended a draft: see `_action`.
MERGE_REQUEST_ACTIONS = {"open": "opened", "reopen": "reopened", "update": "synchronize"}


class _Project(msgspec.Struct):
    id: int | str
    path_with_namespace: str | None = None


class _Commit(msgspec.Struct):
    id: str
    message: str | None = None


class _User(msgspec.Struct):
    username: str | None = None


class _Push(msgspec.Struct):
    ref: str
    after: str
    project: _Project
    object_kind: str | None = None
    before: str | None = None
    checkout_sha: str | None = None
    user_username: str | None = None
    commits: list[_Commit] | None = None


class _Label(msgspec.Struct):
    title: str | None = None


class _Attributes(msgspec.Struct):
    iid: int
    source_branch: str
    target_branch: str
    # Left out by nobody, so a payload without it is not taken for one of the same project.
    source_project_id: int | str | None
    target_project_id: int | str
    action: str | None = None
    title: str | None = None
    oldrev: str | None = None
    draft: bool | None = None
    work_in_progress: bool | None = None
    last_commit: _Commit | None = None
    source: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


class _Flag(msgspec.Struct):
    previous: bool | None = None
    current: bool | None = None


class _Changes(msgspec.Struct):
    draft: _Flag | None = None
    work_in_progress: _Flag | None = None


class _MergeRequest(msgspec.Struct):
    project: _Project
    object_attributes: _Attributes
    object_kind: str | None = None
    user: _User | None = None
    labels: list[_Label] | None = None
    changes: _Changes | None = None


class _NoteAttributes(msgspec.Struct):
    id: int | None = None
    note: str | None = None
    noteable_type: str | None = None
    # Left out by servers that call for new ones alone.
    action: str | None = None
    system: bool | None = None
    created_at: str | None = None


class _Noted(msgspec.Struct):
    iid: int


class _Note(msgspec.Struct):
    project: _Project
    object_attributes: _NoteAttributes
    object_kind: str | None = None
    user: _User | None = None
    merge_request: _Noted | None = None


class _Release(msgspec.Struct):
    project: _Project
    tag: str
    action: str
    name: str | None = None
    object_kind: str | None = None


class GitLab:
    """See Forge."""

    kind = ForgeKind.GITLAB

    def verify(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float
    ) -> None:
        """See Forge. A secret that begins with `whsec_` is a signing token, any other is plain.

        A bad signature is not rescued by a plain token, and a signing token is never sent as one.
        """
        signing = [one for one in secrets if one.startswith(STANDARD_SECRET_PREFIX)]
        plain = [one for one in secrets if one and one not in signing]
        if signing and ("webhook-signature" in headers or not plain):
            verify_standard(
                headers.get("webhook-id", ""),
                headers.get("webhook-timestamp", ""),
                headers.get("webhook-signature", ""),
                body,
                secrets=signing,
                now=now,
            )
        else:
            verify_plain(headers.get("x-gitlab-token", ""), plain)

    def delivery_id(self, headers: Mapping[str, str]) -> str:
        """See Forge. Both names hold the same; the first is what a signature covers.

        X-Gitlab-Event-UUID is no name of a call: hooks that follow from one another share it.
        """
        return headers.get("webhook-id", "") or headers.get("idempotency-key", "")

    def event_name(self, headers: Mapping[str, str]) -> str:
        """See Forge. "Tag Push Hook" is `tag_push`, as in the payload."""
        name = headers.get("x-gitlab-event", "").lower().removesuffix(" hook")
        return name.replace(" ", "_")

    def ignores(self, event: str) -> Ignored | None:
        """See Forge."""
        if event in EVENTS:
            return None
        name = name_of(event)
        return Ignored(
            f"pipelines are started by pushes, tags, releases and merge requests, not by {name!r}"
        )

    def parse(self, event: str, body: str | bytes) -> list[ParsedEvent] | Ignored:
        """See Forge."""
        if ignored := self.ignores(event):
            return ignored
        payload: _Push | _MergeRequest | _Note | _Release
        if event == "merge_request":
            payload = decode(body, _MergeRequest, "GitLab merge_request")
        elif event == "note":
            payload = decode(body, _Note, "GitLab note")
        elif event == "release":
            payload = decode(body, _Release, "GitLab release")
        else:
            payload = decode(body, _Push, f"GitLab {event}")
        # No signature covers the header that names the event.
        if payload.object_kind not in (None, event):
            raise Malformed(
                f"X-Gitlab-Event says {event!r}, object_kind {name_of(payload.object_kind)!r}"
            )
        if isinstance(payload, _MergeRequest):
            return _merge_request(payload)
        if isinstance(payload, _Release):
            return _release(payload)
        return _note(payload) if isinstance(payload, _Note) else _push(payload)


def _push(push: _Push) -> list[ParsedEvent] | Ignored:
    ref = ref_of(push.ref)
    if not ref.startswith(("refs/heads/", "refs/tags/")):
        return Ignored(f"{ref} is neither a branch nor a tag")
    is_tag = ref.startswith("refs/tags/")
    commit = commit_of(push.after, "after")
    if not commit:
        kind = EventKind.TAG_DELETE if is_tag else EventKind.BRANCH_DELETE
        gone = Event(kind=kind, ref=ref, before=_before(push), sender=name_of(push.user_username))
        return [_parsed(push.project, gone)]
    # An annotated tag's `after` is the tag object; the commit is only in checkout_sha.
    if is_tag and push.checkout_sha:
        commit = _required(commit_of(push.checkout_sha, "checkout_sha"), "checkout_sha")
    messages = [one.message for one in push.commits or [] if one.id == commit]
    event = Event(
        kind=EventKind.TAG if is_tag else EventKind.PUSH,
        ref=ref,
        commit=commit,
        before=_before(push),
        sender=name_of(push.user_username),
        message=message_of(messages[0]) if messages else "",
    )
    return [_parsed(push.project, event)]


def _before(push: _Push) -> str:
    return commit_of(push.before, "before") if push.before else ""


def _merge_request(payload: _MergeRequest) -> list[ParsedEvent] | Ignored:
    merge = payload.object_attributes
    action = _action(merge, payload.changes)
    if isinstance(action, Ignored):
        return action
    number_of(merge.iid, "object_attributes.iid")
    if merge.last_commit is None:
        return Ignored("the merge request has no commit yet")
    sender = name_of(payload.user.username) if payload.user else ""
    event = Event(
        kind=EventKind.PULL_REQUEST,
        ref=f"refs/merge-requests/{merge.iid}/head",
        commit=_required(commit_of(merge.last_commit.id, "last_commit.id"), "last_commit.id"),
        before=commit_of(merge.oldrev, "oldrev") if merge.oldrev else "",
        sender=sender,
        message=message_of(merge.title),
        pull_request=_pull_request(payload, action, sender),
    )
    return [_parsed(payload.project, event)]


def _pull_request(payload: _MergeRequest, action: str, sender: str) -> PullRequest:
    merge = payload.object_attributes
    head = _source(merge)
    homes = {external_id_of(payload.project.id), external_id_of(merge.target_project_id)}
    return PullRequest(
        number=merge.iid,
        action=action,
        title=message_of(merge.title),
        # They name the author by a number; who opens one is the author.
        author=sender if action == "opened" else "",
        base_ref=_branch(merge.target_branch, "target_branch"),
        head_ref=_branch(merge.source_branch, "source_branch"),
        head_repo=head,
        is_fork=homes != {head},
        is_draft=bool(merge.draft or merge.work_in_progress),
        labels=[name_of(one.title) for one in payload.labels or []][:LABELS_MAX],
    )


def _note(payload: _Note) -> list[ParsedEvent] | Ignored:
    note = payload.object_attributes
    if note.action not in (None, "create") or note.system:
        return Ignored("only a new comment can be a command: an edit may be by somebody else")
    if note.noteable_type != "MergeRequest" or payload.merge_request is None:
        return NO_PULL_REQUEST
    number = payload.merge_request.iid
    return commanded(
        external_id_of(payload.project.id),
        payload.project.path_with_namespace,
        number=number,
        ref=f"refs/merge-requests/{number}/head",
        login=payload.user.username if payload.user else None,
        body=note.note or "",
        comment=note.id,
        at=note.created_at,
    )


def _release(payload: _Release) -> list[ParsedEvent] | Ignored:
    """Who published it is not told."""
    if payload.action != "create":
        return UNPUBLISHED
    return released(
        external_id_of(payload.project.id),
        payload.project.path_with_namespace,
        tag=payload.tag,
        name=payload.name,
        sender="",
    )


def _action(merge: _Attributes, changes: _Changes | None) -> str | Ignored:
    """Ours for theirs, or why there is none."""
    if merge.action in ("merge", "close"):
        return MERGED if merge.action == "merge" else CLOSED
    action = MERGE_REQUEST_ACTIONS.get(merge.action or "")
    if action is None:
        return unbuilt(merge.action)
    # `oldrev` is there only when code was pushed.
    if merge.action == "update" and not merge.oldrev:
        if _ends_draft(changes):
            return READY
        return Ignored("an update without oldrev brought no commits to the merge request")
    return action


def _ends_draft(changes: _Changes | None) -> bool:
    flag = changes and (changes.draft or changes.work_in_progress)
    return bool(flag and flag.previous and flag.current is False)


def _source(merge: _Attributes) -> str | None:
    """The id of the source project, or None: it was deleted."""
    if merge.source_project_id is None or merge.source is None:
        return None
    return external_id_of(merge.source_project_id)


def _parsed(project: _Project, event: Event) -> ParsedEvent:
    name = name_of(project.path_with_namespace)
    return ParsedEvent(external_id=external_id_of(project.id), name=name, event=event)


def _branch(name: str, field: str) -> str:
    return ref_of(f"refs/heads/{name}", field).removeprefix("refs/heads/")


def _required(commit: str, field: str) -> str:
    if not commit:
        raise Malformed(f"{field} is git's zero id; there must be a commit to build")
    return commit
