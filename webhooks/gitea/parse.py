"""Gitea's and Forgejo's webhooks into events: push (branches, tags), delete, pull_request, and
commands in comments, and releases.

Pure. A new branch or tag arrives as `create` and as `push`: we take the push, which alone has the
commit of an annotated tag. A deletion is taken from `delete`, and a push of zeros ignored.
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
from webhooks.life_cycle import CLOSED, MERGED, unbuilt, was_draft
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
from webhooks.signature import verify_hex

# Theirs to ours. A draft is one by its title there, so the end of that is an edit: see `_action`.
PULL_REQUEST_ACTIONS = {
    "opened": "opened",
    "reopened": "reopened",
    "synchronized": "synchronize",
    "synchronize": "synchronize",
}


class _Repository(msgspec.Struct):
    id: int | str
    full_name: str | None = None


class _User(msgspec.Struct):
    login: str | None = None
    username: str | None = None


class _Commit(msgspec.Struct):
    id: str
    message: str | None = None


class _Push(msgspec.Struct):
    ref: str
    after: str
    repository: _Repository
    before: str = ""
    head_commit: _Commit | None = None
    commits: list[_Commit] | None = None
    sender: _User | None = None
    pusher: _User | None = None


class _Delete(msgspec.Struct):
    ref: str
    ref_type: str
    repository: _Repository
    sender: _User | None = None


class _Branch(msgspec.Struct):
    ref: str
    sha: str
    repo_id: int | str | None = None
    repo: _Repository | None = None


class _Label(msgspec.Struct):
    name: str = ""


class _PullRequest(msgspec.Struct):
    head: _Branch
    base: _Branch
    number: int
    title: str | None = None
    user: _User | None = None
    draft: bool | None = False
    merged: bool | None = False
    labels: list[_Label] | None = None


class _Old(msgspec.Struct):
    # Called by the word, which is none of Python's names.
    earlier: str | None = msgspec.field(default=None, name="from")


class _Changes(msgspec.Struct):
    title: _Old | None = None


class _PullRequestEvent(msgspec.Struct):
    action: str
    repository: _Repository
    pull_request: _PullRequest
    sender: _User | None = None
    changes: _Changes | None = None


class _Comment(msgspec.Struct):
    id: int | None = None
    body: str | None = None
    user: _User | None = None
    created_at: str | None = None


class _Issue(msgspec.Struct):
    number: int
    # Only its being there says that the issue is a pull request.
    pull_request: dict[str, Any] | None = None


class _CommentEvent(msgspec.Struct):
    action: str
    repository: _Repository
    issue: _Issue
    comment: _Comment
    is_pull: bool = False


class _Release(msgspec.Struct):
    tag_name: str
    name: str | None = None
    prerelease: bool | None = False
    draft: bool | None = False


class _ReleaseEvent(msgspec.Struct):
    action: str
    repository: _Repository
    release: _Release
    sender: _User | None = None


# What somebody writes under a pull request is an issue_comment, too; pull_request_comment is a
# review that has one. (HookEventType.Event in Gitea's modules/webhook/type.go)
TAKEN = frozenset(
    {"push", "delete", "pull_request", "pull_request_sync", "release", "issue_comment"}
)


class Gitea:
    """See Forge. Forgejo's headers come first: it sends Gitea's as well."""

    kind = ForgeKind.GITEA

    def verify(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float
    ) -> None:
        """See Forge. A bad primary signature is not rescued by another header."""
        verify_hex(_first(headers, "signature"), body, secrets)

    def delivery_id(self, headers: Mapping[str, str]) -> str:
        """See Forge."""
        return _first(headers, "delivery")

    def event_name(self, headers: Mapping[str, str]) -> str:
        """See Forge."""
        return _first(headers, "event")

    def ignores(self, event: str) -> Ignored | None:
        """See Forge."""
        if event in TAKEN:
            return None
        if event == "create":
            return Ignored("a new branch or tag also arrives as a push, which is the one we take")
        name = name_of(event)
        return Ignored(
            f"pipelines are started by push, delete, pull_request and release, not by {name!r}"
        )

    def parse(self, event: str, body: str | bytes) -> list[ParsedEvent] | Ignored:
        """See Forge."""
        if ignored := self.ignores(event):
            return ignored
        if event == "push":
            return _push(decode(body, _Push, "Gitea push"))
        if event == "delete":
            return _delete(decode(body, _Delete, "Gitea delete"))
        if event == "release":
            return _release(decode(body, _ReleaseEvent, "Gitea release"))
        if event == "issue_comment":
            return _comment(decode(body, _CommentEvent, "Gitea issue_comment"))
        return _pull_request(decode(body, _PullRequestEvent, "Gitea pull_request"))


def _first(headers: Mapping[str, str], suffix: str) -> str:
    """The first header that is there at all, even if it is empty."""
    for forge in ("forgejo", "gitea"):
        if (name := f"x-{forge}-{suffix}") in headers:
            return headers[name]
    return ""


def _push(push: _Push) -> list[ParsedEvent] | Ignored:
    ref = ref_of(push.ref)
    if not ref.startswith(("refs/heads/", "refs/tags/")):
        return Ignored(f"{ref} is neither a branch nor a tag")
    is_tag = ref.startswith("refs/tags/")
    commit = commit_of(push.after, "after")
    if not commit:
        return Ignored("a deletion also arrives as a delete event, which is the one we take")
    # An annotated tag's `after` is the tag object; the commit is only in head_commit.
    if is_tag and push.head_commit:
        commit = commit_of(push.head_commit.id, "head_commit.id")
    event = Event(
        kind=EventKind.TAG if is_tag else EventKind.PUSH,
        ref=ref,
        commit=_required(commit, "head_commit.id"),
        before=commit_of(push.before, "before") if push.before else "",
        sender=_login(push.sender) or _login(push.pusher),
        message=message_of(push.head_commit.message) if push.head_commit else "",
    )
    return [_parsed(push.repository, event)]


def _delete(payload: _Delete) -> list[ParsedEvent] | Ignored:
    if payload.ref_type not in ("branch", "tag"):
        return Ignored(f"a deleted {name_of(payload.ref_type)!r} is neither a branch nor a tag")
    is_tag = payload.ref_type == "tag"
    folder = "refs/tags/" if is_tag else "refs/heads/"
    event = Event(
        kind=EventKind.TAG_DELETE if is_tag else EventKind.BRANCH_DELETE,
        ref=ref_of(folder + payload.ref.removeprefix(folder)),
        sender=_login(payload.sender),
    )
    return [_parsed(payload.repository, event)]


def _pull_request(payload: _PullRequestEvent) -> list[ParsedEvent] | Ignored:
    action = _action(payload)
    if isinstance(action, Ignored):
        return action
    pull, head, base = payload.pull_request, payload.pull_request.head, payload.pull_request.base
    number_of(pull.number, "pull_request.number")
    head_id = _repo_id(head)
    base_id = _repo_id(base) or external_id_of(payload.repository.id)
    labels = [name_of(label.name) for label in pull.labels or []]
    event = Event(
        kind=EventKind.PULL_REQUEST,
        ref=f"refs/pull/{pull.number}/head",
        commit=_required(commit_of(head.sha, "head.sha"), "head.sha"),
        sender=_login(payload.sender),
        message=message_of(pull.title),
        pull_request=PullRequest(
            number=pull.number,
            action=action,
            title=message_of(pull.title),
            author=_login(pull.user),
            base_ref=_branch(base.ref, "base.ref"),
            base_commit=commit_of(base.sha, "base.sha") if base.sha else "",
            # Of a deleted head branch they send the pull ref instead.
            head_ref=_branch(head.ref, "head.ref"),
            head_repo=head_id or None,
            is_fork=head_id != base_id,
            is_draft=_is_draft(pull),
            labels=labels[:LABELS_MAX],
        ),
    )
    return [_parsed(payload.repository, event)]


def _action(payload: _PullRequestEvent) -> str | Ignored:
    """Ours for theirs, or why there is none."""
    pull, changes = payload.pull_request, payload.changes
    if payload.action == "closed":
        return MERGED if pull.merged else CLOSED
    earlier = changes.title.earlier if changes and changes.title else None
    is_ready = was_draft(earlier or "") and not _is_draft(pull)
    if payload.action == "edited" and is_ready:
        return READY
    return PULL_REQUEST_ACTIONS.get(payload.action) or unbuilt(payload.action)


def _is_draft(pull: _PullRequest) -> bool:
    """Servers before 1.22 do not say it."""
    return bool(pull.draft) or was_draft(pull.title or "")


def _comment(payload: _CommentEvent) -> list[ParsedEvent] | Ignored:
    if payload.action != "created":
        return Ignored("only a new comment can be a command: an edit may be by somebody else")
    if not payload.is_pull and payload.issue.pull_request is None:
        return NO_PULL_REQUEST
    return commanded(
        external_id_of(payload.repository.id),
        payload.repository.full_name,
        number=payload.issue.number,
        ref=f"refs/pull/{payload.issue.number}/head",
        login=_login(payload.comment.user),
        body=payload.comment.body or "",
        comment=payload.comment.id,
        at=payload.comment.created_at,
    )


def _release(payload: _ReleaseEvent) -> list[ParsedEvent] | Ignored:
    if payload.action != "published" or payload.release.draft:
        return UNPUBLISHED
    return released(
        external_id_of(payload.repository.id),
        payload.repository.full_name,
        tag=payload.release.tag_name,
        name=payload.release.name,
        sender=_login(payload.sender),
        is_prerelease=bool(payload.release.prerelease),
    )


def _repo_id(branch: _Branch) -> str:
    """The id of the branch's repository; empty where it was deleted (null, or id 0 or -1)."""
    if branch.repo is not None:
        return external_id_of(branch.repo.id)
    text = str(branch.repo_id or "")
    return "" if text in ("", "0", "-1") else external_id_of(text)


def _parsed(repository: _Repository, event: Event) -> ParsedEvent:
    name = name_of(repository.full_name)
    return ParsedEvent(external_id=external_id_of(repository.id), name=name, event=event)


def _branch(name: str, field: str) -> str:
    full = name if name.startswith("refs/") else f"refs/heads/{name}"
    return ref_of(full, field).removeprefix("refs/heads/")


def _login(user: _User | None) -> str:
    return name_of(user.login or user.username) if user else ""


def _required(commit: str, field: str) -> str:
    if not commit:
        raise Malformed(f"{field} is git's zero id; there must be a commit to build")
    return commit
