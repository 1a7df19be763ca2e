"""Bitbucket Data Center's webhooks into events: repo:refs_changed, mirror:repo_synchronized, pr:….

Pure. A pushed tag is named by the id of its tag object, and a pull request's own ref may be late:
such events say what is to be sought, and where.
"""

from collections.abc import Mapping, Sequence

import msgspec

from pipelines.event import Event, EventKind, PullRequest
from pipelines.repo import ForgeKind
from webhooks.comments import commanded
from webhooks.errors import Malformed
from webhooks.forge import Ignored, ParsedEvent, Sought
from webhooks.payload import (
    CHANGES_MAX,
    commit_of,
    decode,
    external_id_of,
    message_of,
    name_of,
    number_of,
    ref_of,
)
from webhooks.signature import verify_prefixed

REFS_CHANGED, SYNCHRONIZED = "repo:refs_changed", "mirror:repo_synchronized"
PING, COMMENT = "diagnostics:ping", "pr:comment:added"
# Theirs to ours. The others (modified, merged, to_ref_updated …) change no code.
PULL_REQUEST_ACTIONS = {"pr:opened": "opened", "pr:from_ref_updated": "synchronize"}


class _Project(msgspec.Struct):
    key: str | None = None


class _Repository(msgspec.Struct):
    id: int | str
    slug: str | None = None
    project: _Project | None = None


class _User(msgspec.Struct):
    name: str | None = None
    slug: str | None = None


class _Commit(msgspec.Struct):
    id: str
    message: str | None = None


class _Change(msgspec.Struct, rename="camel"):
    ref_id: str
    from_hash: str
    to_hash: str


class _Push(msgspec.Struct, rename="camel"):
    repository: _Repository
    changes: list[_Change]
    event_key: str | None = None
    actor: _User | None = None
    commits: list[_Commit] | None = None
    to_commit: _Commit | None = None


class _Synchronized(msgspec.Struct, rename="camel"):
    repository: _Repository
    changes: list[_Change] | None = None
    ref_limit_exceeded: bool | None = False
    event_key: str | None = None


class PullSide(msgspec.Struct, rename="camel"):
    """Where its commits are, or where they are to go."""

    id: str
    latest_commit: str
    repository: _Repository | None = None


class _Author(msgspec.Struct):
    user: _User | None = None


class PullShape(msgspec.Struct, rename="camel"):
    """A pull request, in payloads and in answers of the API."""

    id: int
    from_ref: PullSide
    to_ref: PullSide
    title: str | None = None
    draft: bool | None = False
    author: _Author | None = None


class _PullRequestEvent(msgspec.Struct, rename="camel"):
    pull_request: PullShape
    event_key: str | None = None
    actor: _User | None = None
    previous_from_hash: str | None = None


class _ToRef(msgspec.Struct):
    repository: _Repository


class _CommentedPull(msgspec.Struct, rename="camel"):
    id: int
    to_ref: _ToRef


class _Comment(msgspec.Struct, rename="camel"):
    text: str | None = None
    author: _User | None = None
    id: int | None = None
    created_date: float | None = None


class _CommentEvent(msgspec.Struct, rename="camel"):
    comment: _Comment
    pull_request: _CommentedPull
    event_key: str | None = None


class BitbucketDataCenter:
    """See Forge."""

    kind = ForgeKind.BITBUCKET_DC

    def verify(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float
    ) -> None:
        """See Forge. SHA-256, under the header that means SHA-1 at GitHub; no basic auth."""
        verify_prefixed(headers.get("x-hub-signature", ""), body, secrets)

    def delivery_id(self, headers: Mapping[str, str]) -> str:
        """See Forge."""
        return headers.get("x-request-id", "")

    def event_name(self, headers: Mapping[str, str]) -> str:
        """See Forge."""
        return headers.get("x-event-key", "")

    def ignores(self, event: str) -> Ignored | None:
        """See Forge."""
        if event in (REFS_CHANGED, SYNCHRONIZED, COMMENT) or event in PULL_REQUEST_ACTIONS:
            return None
        if event == PING:
            return Ignored("a ping asks for nothing; the webhook works")
        known = ", ".join((REFS_CHANGED, SYNCHRONIZED, *PULL_REQUEST_ACTIONS))
        return Ignored(f"pipelines are started by {known}, not by {name_of(event)!r}")

    def parse(self, event: str, body: str | bytes) -> list[ParsedEvent] | Ignored:
        """See Forge. Refs that are neither branch nor tag are left out."""
        if ignored := self.ignores(event):
            return ignored
        if event == COMMENT:
            comment = decode(body, _CommentEvent, f"Bitbucket {event}")
            _check_key(event, comment.event_key)
            return _commented(comment)
        if event in PULL_REQUEST_ACTIONS:
            payload = decode(body, _PullRequestEvent, f"Bitbucket {event}")
            _check_key(event, payload.event_key)
            return _pull_request(payload, PULL_REQUEST_ACTIONS[event])
        if event == REFS_CHANGED:
            push = decode(body, _Push, f"Bitbucket {event}")
            _check_key(event, push.event_key)
            return _pushed(push)
        mirrored = decode(body, _Synchronized, f"Bitbucket {event}")
        _check_key(event, mirrored.event_key)
        if mirrored.ref_limit_exceeded or mirrored.changes is None:
            return Ignored("the mirror synchronized more refs than Bitbucket lists in one call")
        return _pushed(_Push(mirrored.repository, mirrored.changes))


def _check_key(header: str, key: str | None) -> None:
    # No signature covers the header that names the event.
    if key not in (None, header):
        raise Malformed(f"X-Event-Key says {header!r}, eventKey {name_of(key)!r}")


def _pushed(push: _Push) -> list[ParsedEvent] | Ignored:
    if len(push.changes) > CHANGES_MAX:
        raise Malformed(f"{len(push.changes)} refs in one push; at most {CHANGES_MAX} are read")
    ours = [one for one in push.changes if _is_ours(one)]
    return [_changed(push, one) for one in ours] or Ignored("it changed no branch and no tag")


def _is_ours(change: _Change) -> bool:
    return ref_of(change.ref_id, "refId").startswith(("refs/heads/", "refs/tags/"))


def _changed(push: _Push, change: _Change) -> ParsedEvent:
    is_tag = change.ref_id.startswith("refs/tags/")
    pushed = commit_of(change.to_hash, "toHash")
    if pushed:
        kind = EventKind.TAG if is_tag else EventKind.PUSH
    else:
        kind = EventKind.TAG_DELETE if is_tag else EventKind.BRANCH_DELETE
    told = [one for one in (push.to_commit, *(push.commits or [])) if one and one.id == pushed]
    event = Event(
        kind=kind,
        ref=change.ref_id,
        commit="" if is_tag else pushed,
        before=commit_of(change.from_hash, "fromHash"),
        sender=_name(push.actor),
        message=message_of(told[0].message) if told and pushed else "",
    )
    # An annotated tag's toHash is the tag object, and nothing in the payload says which it is.
    sought = Sought(pushed, change.ref_id) if is_tag and pushed else None
    return _parsed(push.repository, event, sought)


def _commented(payload: _CommentEvent) -> list[ParsedEvent] | Ignored:
    pull, author = payload.pull_request, payload.comment.author
    return commanded(
        external_id_of(pull.to_ref.repository.id),
        _full_name(pull.to_ref.repository),
        number=pull.id,
        ref=f"refs/pull-requests/{pull.id}/from",
        # A name may have characters that mean something in an address; its slug has none.
        login=author.slug if author is not None else None,
        body=payload.comment.text or "",
        comment=payload.comment.id,
        at=payload.comment.created_date,
        person=_name(author),
    )


def event_of_pull(pull: PullShape) -> Event:
    """Of an open one, as the API tells of it, without an action. Raises Malformed."""
    (parsed,) = _pull_request(_PullRequestEvent(pull), "")
    assert parsed.sought is not None, "a pull request is sought by its whole commit id"
    return msgspec.structs.replace(parsed.event, commit=parsed.sought.name)


def _pull_request(payload: _PullRequestEvent, action: str) -> list[ParsedEvent]:
    pull, before = payload.pull_request, payload.previous_from_hash
    head, base = pull.from_ref, pull.to_ref
    number_of(pull.id, "pullRequest.id")
    if base.repository is None:
        raise Malformed("pullRequest.toRef has no repository")
    commit = _required(commit_of(head.latest_commit, "fromRef.latestCommit"))
    home = external_id_of(base.repository.id)
    source = external_id_of(head.repository.id) if head.repository else None
    is_fork = source != home
    own_ref = f"refs/pull-requests/{pull.id}/from"
    event = Event(
        kind=EventKind.PULL_REQUEST,
        ref=own_ref,
        before=commit_of(before, "previousFromHash") if before else "",
        sender=_name(payload.actor),
        message=message_of(pull.title),
        pull_request=PullRequest(
            number=pull.id,
            action=action,
            title=message_of(pull.title),
            author=_name(pull.author.user) if pull.author else "",
            base_ref=_branch(base.id, "toRef.id"),
            base_commit=commit_of(base.latest_commit, "toRef.latestCommit"),
            head_ref=_branch(head.id, "fromRef.id"),
            head_repo=source,
            is_fork=is_fork,
            is_draft=bool(pull.draft),
        ),
    )
    # Bitbucket makes and moves the pull request's own ref at its leisure; a branch is there.
    where = own_ref if is_fork else head.id
    return [_parsed(base.repository, event, Sought(commit, where))]


def _parsed(repository: _Repository, event: Event, sought: Sought | None) -> ParsedEvent:
    return ParsedEvent(
        external_id=external_id_of(repository.id),
        name=name_of(_full_name(repository)),
        event=event,
        sought=sought,
    )


def _full_name(repository: _Repository) -> str:
    key = repository.project.key if repository.project else None
    return "/".join(part for part in (key, repository.slug) if part)


def _branch(ref: str, field: str) -> str:
    return ref_of(ref, field).removeprefix("refs/heads/")


def _name(user: _User | None) -> str:
    return name_of(user.name) if user else ""


def _required(commit: str) -> str:
    if not commit:
        raise Malformed("fromRef.latestCommit is git's zero id; there must be a commit to build")
    return commit
