"""Commenter: writes under pull requests of all Connections, so that there is one comment of a kind.

It keeps nothing that must not be lost: which comment is ours says the forge, by a marker at its
beginning and by its author, since anybody may write a marker. Whoever died after it was made finds
it so; afterwards its number is remembered, and what turns out to be wrong is looked for again.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
import msgspec

from pipelines.repo import Connection, ForgeKind, Repo
from webhooks.bitbucket.comments import BitbucketComments
from webhooks.bitbucket_dc.comments import BitbucketDcComments
from webhooks.forge import Comment, Connections, Later, PullComments, Refused, SendLater, Sent
from webhooks.github.app import HEADERS, AppTokens, Purpose
from webhooks.gitlab.notes import GitLabNotes
from webhooks.issue_comments import IssueComments
from webhooks.reporter import backoff_s
from webhooks.rest import ForgeApi

KNOWN_MAX = 10_000
COMMENTS_ON = frozenset(ForgeKind) - {ForgeKind.GIT}
TURN_OFF = "or have none written: `staunch up --no-comments`"


def has_comments(connection: Connection | None) -> bool:
    """Whether we can write under the pull requests of this Connection at all."""
    if connection is None or not connection.api_url or connection.kind not in COMMENTS_ON:
        return False
    return bool(connection.token or connection.app)


@dataclass(frozen=True, slots=True)
class _Known:
    id: str
    said: bytes


_Place = tuple[str, str, int, str]


class Commenter:
    """See ci_host.comment_ports.CommentSender. Safe to use from a task for each Connection."""

    def __init__(
        self,
        connections: Connections,
        client: httpx2.AsyncClient,
        apps: AppTokens,
        *,
        now: Callable[[], float],
        dice: Callable[[], float],
    ) -> None:
        self._connections, self._client, self._apps = connections, client, apps
        self._now, self._dice = now, dice
        self._known: OrderedDict[_Place, _Known] = OrderedDict()

    async def show(
        self, connection: str, repo: str, name: str, number: int, marker: str, text: str,
        *, attempt: int,
    ) -> Sent | SendLater | Refused:  # fmt: skip
        """One comment of ours that begins with `marker` and says `text`, whatever was before."""
        place = (connection, repo, number, marker)
        known = self._known.get(place)
        if known is not None and known.said == _digest(text):
            return Sent()
        where = _repo(connection, repo, name)
        writer = await self._writer(where)
        if isinstance(writer, Later | Refused):
            return self._told(writer, attempt)
        told = await self._show(writer, where, number, known, marker, text)
        if isinstance(told, Comment):
            self._keep(place, told)
            return Sent()
        # Whether the forge has done it is looked at before the next try.
        self._known.pop(place, None)
        return self._told(told, attempt)

    async def react(
        self, connection: str, repo: str, name: str, number: int, comment: str, *, attempt: int
    ) -> Sent | SendLater | Refused:
        """Show a thumb on somebody's comment."""
        where = _repo(connection, repo, name)
        writer = await self._writer(where)
        if isinstance(writer, Later | Refused):
            return self._told(writer, attempt)
        return self._told(await writer.react(where, number, comment), attempt)

    async def _show(
        self, writer: PullComments, repo: Repo, number: int, known: _Known | None,
        marker: str, text: str,
    ) -> Comment | Later | Refused:  # fmt: skip
        if known is not None:
            told = await writer.update(repo, number, known.id, text)
            if isinstance(told, Later | Refused):
                return told
            if told:
                return Comment(known.id, text)
        found = await writer.ours(repo, number)
        if not isinstance(found, list):
            return found
        for one in found:
            if not one.text.lstrip().startswith(marker):
                continue
            if one.text.strip() == text.strip():
                return Comment(one.id, text)
            changed = await writer.update(repo, number, one.id, text)
            if isinstance(changed, Later | Refused):
                return changed
            if changed:
                return Comment(one.id, text)
        return await writer.create(repo, number, text)

    def _keep(self, place: _Place, comment: Comment) -> None:
        self._known[place] = _Known(comment.id, _digest(comment.text))
        self._known.move_to_end(place)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    def _told(self, told: Sent | Later | Refused, attempt: int) -> Sent | SendLater | Refused:
        if isinstance(told, Later):
            wait = max(backoff_s(attempt, self._dice()), told.retry_after_s or 0.0)
            return SendLater(told.reason, wait)
        if isinstance(told, Refused):
            return Refused(f"{told.reason} Comments need a permission of their own, {TURN_OFF}.")
        return told

    async def _writer(self, repo: Repo) -> PullComments | Later | Refused:
        connection = self._connections.find(repo.connection)
        if connection is None or not has_comments(connection):
            return Refused(f"connection {repo.connection!r} has no API for comments, or no token.")
        if connection.app:
            token = await self._apps.token(connection, repo.name, Purpose.COMMENTS)
            if not isinstance(token, str):
                return token
            connection = msgspec.structs.replace(connection, token=token)
        return self._writer_of(connection)

    def _writer_of(self, connection: Connection) -> PullComments:
        base = connection.api_url.rstrip("/")
        match connection.kind:
            case ForgeKind.GITLAB:
                return GitLabNotes(connection, self._client, self._now())
            case ForgeKind.BITBUCKET:
                return BitbucketComments(connection, self._client, self._now())
            case ForgeKind.BITBUCKET_DC:
                return BitbucketDcComments(connection, self._client, self._now())
            case ForgeKind.GITEA:
                base = f"{base.removesuffix('/api/v1')}/api/v1"
                headers = {
                    "Accept": "application/json",
                    "Authorization": f"token {connection.token}",
                }
            case _:
                headers = {**HEADERS, "Authorization": f"Bearer {connection.token}"}
        api = ForgeApi(base, headers, self._client, self._now())
        has_pages = connection.kind is not ForgeKind.GITEA
        return IssueComments(api, app=connection.app, has_pages=has_pages)


def _repo(connection: str, repo: str, name: str) -> Repo:
    external_id = repo.removeprefix(f"{connection}/")
    return Repo(id=repo, connection=connection, external_id=external_id, name=name, clone_url="")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
