"""Bitbucket Cloud's webhooks into events: repo:push (many refs a call) and pullrequest:….

Pure. Payloads of pull requests cut commit ids to 12 digits, so these events name what is to be
sought on the source branch. Bitbucket Cloud has no refs for pull requests: a fork's commits are in
the fork alone, and where that is its API says and no payload.
"""

import re
from collections.abc import Mapping, Sequence

import msgspec

from pipelines.event import Event, EventKind, PullRequest
from pipelines.refs import is_commit
from pipelines.repo import ForgeKind
from webhooks.comments import commanded
from webhooks.errors import Malformed
from webhooks.forge import Ignored, ParsedEvent, Sought
from webhooks.payload import (
    CHANGES_MAX,
    commit_of,
    decode,
    message_of,
    name_of,
    number_of,
    ref_of,
    short_commit_of,
)
from webhooks.signature import verify_prefixed

PUSH = "repo:push"
# Theirs to ours. An update may be of the title alone: then its commit has its Run already.
PULL_REQUEST_ACTIONS = {"pullrequest:created": "opened", "pullrequest:updated": "synchronize"}
COMMENT = "pullrequest:comment_created"
FOLDERS = {"branch": "refs/heads/", "tag": "refs/tags/"}

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.ASCII)


class _Repository(msgspec.Struct):
    uuid: str
    full_name: str | None = None


class _User(msgspec.Struct):
    uuid: str | None = None
    nickname: str | None = None
    display_name: str | None = None


class _Commit(msgspec.Struct):
    hash: str
    message: str | None = None


class _Ref(msgspec.Struct):
    name: str
    type: str
    target: _Commit


class _Change(msgspec.Struct):
    old: _Ref | None = None
    new: _Ref | None = None
    forced: bool | None = False


class _Changes(msgspec.Struct):
    changes: list[_Change]


class _Push(msgspec.Struct):
    push: _Changes
    repository: _Repository
    actor: _User | None = None


class _Branch(msgspec.Struct):
    name: str


class _Side(msgspec.Struct):
    branch: _Branch
    commit: _Commit | None = None
    repository: _Repository | None = None


class PullRequestBody(msgspec.Struct):
    """A pull request, as payloads have it, and the API's list."""

    id: int
    source: _Side
    destination: _Side
    title: str | None = None
    state: str | None = None
    draft: bool | None = False
    author: _User | None = None


class _PullRequestEvent(msgspec.Struct):
    pullrequest: PullRequestBody
    repository: _Repository
    actor: _User | None = None


class _Numbered(msgspec.Struct):
    id: int


class _Content(msgspec.Struct):
    raw: str | None = None


class _Comment(msgspec.Struct):
    content: _Content
    user: _User | None = None
    id: int | None = None
    created_on: str | None = None


class _CommentEvent(msgspec.Struct):
    comment: _Comment
    pullrequest: _Numbered
    repository: _Repository


class Bitbucket:
    """See Forge."""

    kind = ForgeKind.BITBUCKET

    def verify(
        self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: float
    ) -> None:
        """See Forge. SHA-256, under the header that means SHA-1 at GitHub."""
        verify_prefixed(headers.get("x-hub-signature", ""), body, secrets)

    def delivery_id(self, headers: Mapping[str, str]) -> str:
        """See Forge."""
        return headers.get("x-request-uuid", "")

    def event_name(self, headers: Mapping[str, str]) -> str:
        """See Forge."""
        return headers.get("x-event-key", "")

    def ignores(self, event: str) -> Ignored | None:
        """See Forge."""
        if event in (PUSH, COMMENT) or event in PULL_REQUEST_ACTIONS:
            return None
        known = ", ".join((PUSH, *PULL_REQUEST_ACTIONS))
        return Ignored(f"pipelines are started by {known}, not by {name_of(event)!r}")

    def parse(self, event: str, body: str | bytes) -> list[ParsedEvent] | Ignored:
        """See Forge. Refs that are neither branch nor tag are left out."""
        if ignored := self.ignores(event):
            return ignored
        if event == COMMENT:
            return _comment(decode(body, _CommentEvent, f"Bitbucket {event}"))
        if event != PUSH:
            payload = decode(body, _PullRequestEvent, f"Bitbucket {event}")
            return _pull_request(payload, PULL_REQUEST_ACTIONS[event])
        push = decode(body, _Push, f"Bitbucket {event}")
        changes = push.push.changes
        if len(changes) > CHANGES_MAX:
            raise Malformed(f"{len(changes)} refs in one push; at most {CHANGES_MAX} are read")
        events = [_changed(change, _login(push.actor)) for change in changes]
        parsed = [_parsed(push.repository, event) for event in events if event]
        return parsed or Ignored("the push changed no branch and no tag")


def repository_uuid(text: str) -> str:
    """A repository's UUID in small letters and without its braces. Raises Malformed."""
    inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if not _UUID.match(inner.lower()):
        raise Malformed(
            f"{text[:80]!r} is no UUID of a repository; one looks like"
            " {8d3e1c7a-0b52-4f6e-9a41-5c2d7e90f1b3}"
        )
    return inner.lower()


def _changed(change: _Change, sender: str) -> Event | None:
    """What became of one ref; None: it is neither a branch nor a tag."""
    there = change.new or change.old
    if there is None:
        raise Malformed("a change has neither old nor new; one of them must be there")
    folder = FOLDERS.get(there.type)
    if folder is None:
        return None
    is_tag = there.type == "tag"
    if change.new is None:
        kind = EventKind.TAG_DELETE if is_tag else EventKind.BRANCH_DELETE
    else:
        kind = EventKind.TAG if is_tag else EventKind.PUSH
    # Of an annotated tag too, the target is the commit.
    new = change.new.target if change.new else None
    return Event(
        kind=kind,
        ref=ref_of(folder + there.name, "name"),
        commit=_required(commit_of(new.hash, "new.target.hash"), "new.target.hash") if new else "",
        before=commit_of(change.old.target.hash, "old.target.hash") if change.old else "",
        sender=sender,
        message=message_of(new.message) if new else "",
        forced=bool(change.forced),
    )


def _comment(payload: _CommentEvent) -> list[ParsedEvent] | Ignored:
    user = payload.comment.user
    return commanded(
        repository_uuid(payload.repository.uuid),
        payload.repository.full_name,
        number=payload.pullrequest.id,
        ref=_ref_of(payload.pullrequest.id),
        # Several people may have one nickname.
        login=(user.uuid or "").strip("{}").lower() if user is not None else None,
        body=payload.comment.content.raw or "",
        comment=payload.comment.id,
        at=payload.comment.created_on,
        person=_login(user),
    )


def _ref_of(number: int) -> str:
    """There is no such ref: it is a name for what two pull requests do not share, and for where
    the fork of one is."""
    return f"refs/pull-requests/{number}/from"


def _pull_request(payload: _PullRequestEvent, action: str) -> list[ParsedEvent] | Ignored:
    pull, source = payload.pullrequest, payload.pullrequest.source
    number_of(pull.id, "pullrequest.id")
    if pull.state not in (None, "OPEN"):
        return Ignored(f"pull request {pull.id} is not open any more")
    home = repository_uuid(payload.repository.uuid)
    target = pull.destination.repository
    if target is not None and repository_uuid(target.uuid) != home:
        return Ignored(f"pull request {pull.id} is meant for {name_of(target.full_name)!r}")
    if source.repository is None:
        return Ignored(
            f"pull request {pull.id} comes from a repository that is gone, and Bitbucket Cloud"
            " gives a fork's commits through no other. Push its branch to this repository to have"
            " it built"
        )
    if source.commit is None:
        return Ignored(f"the source branch of pull request {pull.id} has no commit")
    event = _event_of(pull, home, action, _login(payload.actor))
    name = short_commit_of(source.commit.hash, "source.commit.hash")
    return [_parsed(payload.repository, event, Sought(name, _where(event)))]


def _event_of(pull: PullRequestBody, home: str, action: str, sender: str) -> Event:
    source = pull.source.repository
    return Event(
        kind=EventKind.PULL_REQUEST,
        ref=_ref_of(pull.id),
        sender=sender,
        message=message_of(pull.title),
        pull_request=PullRequest(
            number=pull.id,
            action=action,
            title=message_of(pull.title),
            author=_login(pull.author),
            base_ref=_branch(pull.destination.branch, "destination.branch.name"),
            base_commit=_full(pull.destination.commit),
            head_ref=_branch(pull.source.branch, "source.branch.name"),
            head_repo=None if source is None else repository_uuid(source.uuid),
            is_fork=source is None or repository_uuid(source.uuid) != home,
            is_draft=bool(pull.draft),
        ),
    )


def event_of_pull(pull: PullRequestBody, home: str) -> Event | None:
    """One of the API's list, as an event without an action, its commit as it is cut there; None:
    there is none that could be fetched. Raises Malformed."""
    if pull.id < 1 or pull.source.commit is None or pull.source.repository is None:
        return None
    target = pull.destination.repository
    if target is None or repository_uuid(target.uuid) != home:
        return None
    event = _event_of(pull, home, "", "")
    commit = short_commit_of(pull.source.commit.hash, "source.commit.hash")
    return msgspec.structs.replace(event, commit=commit)


def _where(event: Event) -> str:
    """The ref in which the commit of a pull request is sought: its branch, if that is of this very
    repository; else a name by which whoever fetches asks where the fork is."""
    request = event.pull_request
    assert request is not None, "asked only of pull requests"
    return event.ref if request.is_fork else f"refs/heads/{request.head_ref}"


def _parsed(repository: _Repository, event: Event, sought: Sought | None = None) -> ParsedEvent:
    return ParsedEvent(
        external_id=repository_uuid(repository.uuid),
        name=name_of(repository.full_name),
        event=event,
        sought=sought,
    )


def _branch(branch: _Branch, field: str) -> str:
    return ref_of(f"refs/heads/{branch.name}", field).removeprefix("refs/heads/")


def _full(commit: _Commit | None) -> str:
    """The id where it is a whole one."""
    return commit.hash if commit is not None and is_commit(commit.hash) else ""


def _login(user: _User | None) -> str:
    """What people are called there: they have no unique names, and ids that nobody can read."""
    return name_of(user.nickname or user.display_name) if user else ""


def _required(commit: str, field: str) -> str:
    if not commit:
        raise Malformed(f"{field} is git's zero id; there must be a commit to build")
    return commit
