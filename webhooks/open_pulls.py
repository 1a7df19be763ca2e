"""Open pulls: the pull requests that are open on a forge, as its API lists them now.

For the reconciler: of a pull request whose webhook was lost nothing else tells. Each becomes the
event that a payload would have been, without an action; whose change it is this does not decide.

GitHub: "List pull requests". Gitea, Forgejo: `GET /repos/{owner}/{repo}/pulls`. GitLab:
`GET /projects/:id/merge_requests`. Bitbucket Data Center's are read in its own
folder, as its payloads are; Bitbucket Cloud, which cuts commits to 12 digits, is not listed.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import msgspec

from pipelines.event import Event, EventKind, PullRequest
from pipelines.refs import is_ref
from webhooks.errors import Malformed
from webhooks.forge import Later, OpenPulls, Refused, Unchanged
from webhooks.life_cycle import was_draft
from webhooks.payload import (
    LABELS_MAX,
    commit_of,
    external_id_of,
    message_of,
    name_of,
    number_of,
)
from webhooks.rest import ForgeApi, Listed

T = TypeVar("T")


class _Repository(msgspec.Struct):
    id: int


class _User(msgspec.Struct):
    # GitLab says username.
    login: str = ""
    username: str = ""


class _Label(msgspec.Struct):
    name: str = ""


class _Side(msgspec.Struct):
    ref: str
    sha: str
    repo: _Repository | None = None


class _Pull(msgspec.Struct):
    head: _Side
    base: _Side
    number: int
    title: str | None = None
    user: _User | None = None
    draft: bool | None = False
    labels: list[_Label] | None = None


class _MergeRequest(msgspec.Struct):
    iid: int
    target_project_id: int
    target_branch: str
    source_branch: str
    source_project_id: int | None = None
    sha: str | None = None
    title: str | None = None
    author: _User | None = None
    draft: bool | None = False
    labels: list[str] | None = None


async def pulls_of(
    api: ForgeApi, path: str, known: str, *, titles_say_draft: bool = False
) -> OpenPulls | Unchanged | Later | Refused:
    """GitHub's list at this path of its API, and Gitea's, in whose titles one says what is a draft
    (of servers before 1.22 nothing else does)."""
    told = await api.listed(path, _Pull, known)
    return _opened(told, partial(_of_pull, titles_say_draft=titles_say_draft))


async def merge_requests_of(
    api: ForgeApi, path: str, known: str
) -> OpenPulls | Unchanged | Later | Refused:
    """GitLab's list at this path of its API."""
    return _opened(await api.listed(path, _MergeRequest, known), _of_merge_request)


def _opened(
    told: Listed[T] | Unchanged | Later | Refused, event_of: Callable[[T], Event]
) -> OpenPulls | Unchanged | Later | Refused:
    if not isinstance(told, Listed):
        return told
    events = []
    for item in told.items:
        # One with a name that git would not take has no commit that could be fetched.
        with suppress(Malformed):
            events.append(event_of(item))
    return OpenPulls(events, told.etag)


def _of_pull(pull: _Pull, *, titles_say_draft: bool) -> Event:
    head, base = pull.head, pull.base
    labels = [name_of(one.name) for one in pull.labels or []]
    return Event(
        kind=EventKind.PULL_REQUEST,
        ref=f"refs/pull/{number_of(pull.number, 'number')}/head",
        commit=commit_of(head.sha, "head.sha"),
        message=message_of(pull.title),
        pull_request=PullRequest(
            number=pull.number,
            action="",
            title=message_of(pull.title),
            author=name_of(pull.user.login if pull.user else ""),
            base_ref=_branch(base.ref),
            base_commit=commit_of(base.sha, "base.sha") if base.sha else "",
            head_ref=_branch(head.ref),
            head_repo=external_id_of(head.repo.id) if head.repo else None,
            is_fork=head.repo is None or base.repo is None or head.repo.id != base.repo.id,
            is_draft=bool(pull.draft) or (titles_say_draft and was_draft(pull.title or "")),
            labels=labels[:LABELS_MAX],
        ),
    )


def _of_merge_request(merge: _MergeRequest) -> Event:
    source = merge.source_project_id
    return Event(
        kind=EventKind.PULL_REQUEST,
        ref=f"refs/merge-requests/{number_of(merge.iid, 'iid')}/head",
        commit=commit_of(merge.sha or "none", "sha"),
        message=message_of(merge.title),
        pull_request=PullRequest(
            number=merge.iid,
            action="",
            title=message_of(merge.title),
            author=name_of(merge.author.username if merge.author else ""),
            base_ref=_branch(merge.target_branch),
            head_ref=_branch(merge.source_branch),
            head_repo=None if source is None else external_id_of(source),
            is_fork=source != merge.target_project_id,
            is_draft=bool(merge.draft),
            labels=[name_of(one) for one in merge.labels or []][:LABELS_MAX],
        ),
    )


def _branch(name: str) -> str:
    if not is_ref(f"refs/heads/{name}"):
        raise Malformed(f"{name[:80]!r} is no branch that git would accept")
    return name
