"""GitHub's webhooks into events: push (branches, tags, deletes), pull_request, what people press
on a check, commands in comments, releases and groups of a merge queue.

Pure. Only fields that are used are named, and all but the decisive ones may be missing: old
servers leave some out, and new ones add some.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import msgspec

from pipelines.event import Event, EventKind, MergeGroup, PullRequest
from pipelines.repo import ForgeKind
from pipelines.trigger import READY
from webhooks.comments import NO_PULL_REQUEST, commanded, is_login
from webhooks.errors import Malformed
from webhooks.forge import Again, GatePress, Ignored, ParsedEvent
from webhooks.github import check_body
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
from webhooks.signature import verify_prefixed

# The others (labeled, edited …) change nothing that is built.
PULL_REQUEST_ACTIONS = frozenset({"opened", "synchronize", "reopened", READY})


class _Repository(msgspec.Struct):
    id: int | str
    full_name: str | None = None


class _User(msgspec.Struct):
    login: str | None = None
    name: str | None = None


class _Commit(msgspec.Struct):
    id: str
    message: str | None = None


class _Push(msgspec.Struct):
    ref: str
    after: str
    repository: _Repository
    before: str = ""
    deleted: bool = False
    forced: bool = False
    head_commit: _Commit | None = None
    sender: _User | None = None
    pusher: _User | None = None


class _Branch(msgspec.Struct):
    ref: str
    sha: str
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


class _PullRequestEvent(msgspec.Struct):
    action: str
    repository: _Repository
    pull_request: _PullRequest
    sender: _User | None = None


class _Check(msgspec.Struct):
    head_sha: str
    id: int | None = None
    external_id: str | None = None


class _RequestedAction(msgspec.Struct):
    identifier: str = ""


class _CheckEvent(msgspec.Struct):
    action: str
    repository: _Repository
    check_run: _Check | None = None
    check_suite: _Check | None = None
    requested_action: _RequestedAction | None = None
    sender: _User | None = None


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


class _Release(msgspec.Struct):
    tag_name: str
    name: str | None = None
    prerelease: bool | None = False


class _ReleaseEvent(msgspec.Struct):
    action: str
    repository: _Repository
    release: _Release
    sender: _User | None = None


class _Group(msgspec.Struct):
    head_sha: str
    head_ref: str
    base_ref: str
    base_sha: str = ""
    head_commit: _Commit | None = None


class _GroupEvent(msgspec.Struct):
    action: str
    repository: _Repository
    merge_group: _Group
    sender: _User | None = None


class GitHub:
    """See Forge."""

    kind = ForgeKind.GITHUB

    def verify(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float
    ) -> None:
        """See Forge. The sha1 header is legacy and never looked at."""
        verify_prefixed(headers.get("x-hub-signature-256", ""), body, secrets)

    def delivery_id(self, headers: Mapping[str, str]) -> str:
        """See Forge."""
        return headers.get("x-github-delivery", "")

    def event_name(self, headers: Mapping[str, str]) -> str:
        """See Forge."""
        return headers.get("x-github-event", "")

    def ignores(self, event: str) -> Ignored | None:
        """See Forge."""
        if event in _PARSERS:
            return None
        if event in ("installation", "installation_repositories"):
            return Ignored(
                "a repository is registered with `staunch repo add`, not by installing the App"
            )
        if event == "ping":
            return Ignored("a ping asks for nothing; the webhook works")
        known = "push, pull_request, merge_group and release"
        return Ignored(f"pipelines are started by {known}, not by {name_of(event)!r}")

    def parse(self, event: str, body: str | bytes) -> list[ParsedEvent] | Ignored:
        """See Forge."""
        if ignored := self.ignores(event):
            return ignored
        return _PARSERS[event](body)


def _push(push: _Push) -> list[ParsedEvent] | Ignored:
    ref = ref_of(push.ref)
    if not ref.startswith(("refs/heads/", "refs/tags/")):
        return Ignored(f"{ref} is neither a branch nor a tag")
    is_tag = ref.startswith("refs/tags/")
    commit = "" if push.deleted else commit_of(push.after, "after")
    # An annotated tag's `after` is the tag object; the commit is only in head_commit.
    if commit and is_tag and push.head_commit:
        commit = commit_of(push.head_commit.id, "head_commit.id")
    if commit:
        kind = EventKind.TAG if is_tag else EventKind.PUSH
    else:
        kind = EventKind.TAG_DELETE if is_tag else EventKind.BRANCH_DELETE
    event = Event(
        kind=kind,
        ref=ref,
        commit=commit,
        before=commit_of(push.before, "before") if push.before else "",
        sender=_login(push.sender) or _login(push.pusher),
        message=message_of(push.head_commit.message) if commit and push.head_commit else "",
        forced=push.forced,
    )
    return [_parsed(push.repository, event)]


def _pull_request(payload: _PullRequestEvent) -> list[ParsedEvent] | Ignored:
    if payload.action == "closed":
        return MERGED if payload.pull_request.merged else CLOSED
    if payload.action not in PULL_REQUEST_ACTIONS:
        return unbuilt(payload.action)
    pull, head, base = payload.pull_request, payload.pull_request.head, payload.pull_request.base
    number_of(pull.number, "pull_request.number")
    base_repo = base.repo or payload.repository
    labels = [name_of(label.name) for label in pull.labels or []]
    event = Event(
        kind=EventKind.PULL_REQUEST,
        ref=f"refs/pull/{pull.number}/head",
        commit=_required(commit_of(head.sha, "head.sha")),
        sender=_login(payload.sender),
        message=message_of(pull.title),
        pull_request=PullRequest(
            number=pull.number,
            action=payload.action,
            title=message_of(pull.title),
            author=_login(pull.user),
            base_ref=_branch(base.ref, "base.ref"),
            base_commit=commit_of(base.sha, "base.sha"),
            head_ref=_branch(head.ref, "head.ref"),
            head_repo=external_id_of(head.repo.id) if head.repo else None,
            # A deleted head repository was a fork: a branch of the base cannot lose its repository.
            is_fork=head.repo is None or str(head.repo.id) != str(base_repo.id),
            is_draft=bool(pull.draft),
            labels=labels[:LABELS_MAX],
        ),
    )
    return [_parsed(payload.repository, event)]


def _comment(payload: _CommentEvent) -> list[ParsedEvent] | Ignored:
    if payload.action != "created":
        return Ignored("only a new comment can be a command: an edit may be by somebody else")
    if payload.issue.pull_request is None:
        return NO_PULL_REQUEST
    return commanded(
        external_id_of(payload.repository.id),
        payload.repository.full_name,
        number=payload.issue.number,
        ref=f"refs/pull/{payload.issue.number}/head",
        login=payload.comment.user.login if payload.comment.user else None,
        body=payload.comment.body or "",
        comment=payload.comment.id,
        at=payload.comment.created_at,
    )


def _release(payload: _ReleaseEvent) -> list[ParsedEvent] | Ignored:
    # It is also `released`, or `prereleased`, at the same time.
    if payload.action != "published":
        return UNPUBLISHED
    return released(
        external_id_of(payload.repository.id),
        payload.repository.full_name,
        tag=payload.release.tag_name,
        name=payload.release.name,
        sender=_login(payload.sender),
        is_prerelease=bool(payload.release.prerelease),
    )


def _group(payload: _GroupEvent) -> list[ParsedEvent] | Ignored:
    if payload.action != "checks_requested":
        return Ignored("a merge group that is over asks for nothing")
    group = payload.merge_group
    base = ref_of(group.base_ref, "merge_group.base_ref").removeprefix("refs/heads/")
    base_commit = commit_of(group.base_sha, "merge_group.base_sha") if group.base_sha else ""
    event = Event(
        kind=EventKind.MERGE_GROUP,
        ref=ref_of(group.head_ref, "merge_group.head_ref"),
        commit=_required(commit_of(group.head_sha, "merge_group.head_sha")),
        sender=_login(payload.sender),
        message=message_of(group.head_commit.message) if group.head_commit else "",
        merge_group=MergeGroup(base_ref=base, base_commit=base_commit),
    )
    return [_parsed(payload.repository, event)]


def _check(kind: str, payload: _CheckEvent) -> list[ParsedEvent] | Ignored:
    """Only what people press: all else on a check is what was told by us, or by other Apps."""
    again, gate = _wanted(payload), _gate(payload)
    check = payload.check_run if kind == "check_run" else payload.check_suite
    if (again is None and gate is None) or check is None:
        action = name_of(payload.action)
        return Ignored(f"{action!r} on a {kind} asks for nothing that was not asked for before")
    event = Event(
        kind=EventKind.MANUAL,
        commit=_required(commit_of(check.head_sha, f"{kind}.head_sha")),
        sender=_login(payload.sender),
    )
    parsed = _parsed(payload.repository, event)
    if again is not None:
        if kind == "check_run":
            again = replace(again, run=name_of(check.external_id))
        else:
            again = replace(again, suite=str(check.id or ""))
        return [replace(parsed, again=again)]
    assert gate is not None, "one of both was pressed"
    approved, mark = gate
    login = payload.sender.login if payload.sender else None
    if not is_login(login):
        return Ignored(f"whoever pressed is called {(login or '')[:80]!r}, which is no login")
    press = GatePress(name_of(check.external_id), mark, approved, login or "")
    return [replace(parsed, press=press)]


def _gate(payload: _CheckEvent) -> tuple[bool, str] | None:
    """The gate whose button was pressed, and which one of both; None: no gate's."""
    if payload.action != "requested_action" or payload.requested_action is None:
        return None
    return check_body.pressed_gate(payload.requested_action.identifier)


def _wanted(payload: _CheckEvent) -> Again | None:
    """Which of our buttons, or GitHub's own, was pressed; None: neither."""
    pressed = payload.requested_action.identifier if payload.requested_action else ""
    match payload.action, pressed:
        case ("rerequested", _) | ("requested_action", check_body.RERUN):
            return Again()
        case ("requested_action", check_body.RERUN_FAILED):
            return Again(failed_only=True)
        case _:
            return None


def _parsed(repository: _Repository, event: Event) -> ParsedEvent:
    name = name_of(repository.full_name)
    return ParsedEvent(external_id=external_id_of(repository.id), name=name, event=event)


def _branch(short: str, field: str) -> str:
    return ref_of(f"refs/heads/{short}", field).removeprefix("refs/heads/")


def _login(user: _User | None) -> str:
    return name_of(user.login or user.name) if user else ""


def _required(commit: str) -> str:
    if not commit:
        raise Malformed("the head is git's zero id; what it is asked for must have a commit")
    return commit


_PARSERS: Mapping[str, Callable[[str | bytes], list[ParsedEvent] | Ignored]] = MappingProxyType(
    {
        "push": lambda body: _push(decode(body, _Push, "GitHub push")),
        "pull_request": lambda body: _pull_request(
            decode(body, _PullRequestEvent, "GitHub pull_request")
        ),
        "check_run": lambda body: _check(
            "check_run", decode(body, _CheckEvent, "GitHub check_run")
        ),
        "check_suite": lambda body: _check(
            "check_suite", decode(body, _CheckEvent, "GitHub check_suite")
        ),
        "issue_comment": lambda body: _comment(decode(body, _CommentEvent, "GitHub issue_comment")),
        "release": lambda body: _release(decode(body, _ReleaseEvent, "GitHub release")),
        "merge_group": lambda body: _group(decode(body, _GroupEvent, "GitHub merge_group")),
    }
)
