"""Routes of the installation: connections, repositories, health."""

import secrets
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ci_host.api import views
from ci_host.api.auth import Admin, Here, Seen
from ci_host.api.paging import PAGE_MAX, PageSize, Place, page_of
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.ref_ports import NotCompared, pulls_of
from pipelines.repo import Connection, ForgeKind, Repo
from webhooks.errors import Malformed
from webhooks.github.app import key_problem
from webhooks.hook_of_repo import given_to
from webhooks.registry import registered_id
from webhooks.signature import standard_problem

router = APIRouter(prefix="/api/v1", tags=["installation"])

OAUTH_CHARS_MAX = 500


class ConnectionBody(BaseModel):
    """A forge. Without `secret` one is made and answered once; a new one keeps the old one too,
    until `drop_older`.

    What is left out stays as it was. `app` and `app_key`, a GitHub App's id and private key in PEM,
    take the place of the token, and a token theirs; neither is ever answered. `oauth_client_id` and
    `oauth_client_secret`: of the application at the forge with which people log in here.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    kind: ForgeKind
    api_url: str | None = None
    token: str = ""
    secret: str = ""
    drop_older: bool = False
    app: str = Field(default="", pattern=r"^[A-Za-z0-9.]{0,64}$")
    app_key: str = ""
    oauth_client_id: str = Field(default="", max_length=OAUTH_CHARS_MAX)
    oauth_client_secret: str = Field(default="", max_length=OAUTH_CHARS_MAX)


class RepoBody(BaseModel):
    """A repository: `external_id` is the forge's own id (a plain git repository's path)."""

    connection: str
    external_id: str
    name: str
    clone_url: str


@router.get("/connections", summary="List connections")
async def list_connections(here: Here, seen: Seen) -> dict[str, Any]:
    """Without their secrets. Whoever sees only some repositories sees the connections of these."""
    of = {repo.connection for repo in here.directory.repos.values() if seen.has(repo.id)}
    known = await here.catalog.connections()
    found = sorted((c for c in known if seen.repos is None or c.id in of), key=lambda c: c.id)
    return {"connections": [views.connection_view(c, here.settings.url) for c in found]}


@router.put("/connections", summary="Add a connection, or change one")
async def put_connection(here: Here, _who: Admin, body: ConnectionBody) -> dict[str, Any]:
    """Answers the webhook's secret. The one before is still accepted, until the next new one."""
    if wrong := standard_problem(body.secret):
        raise Problem(
            422,
            "No signing token",
            f"{wrong}. Take GitLab's, or make one: `echo whsec_$(openssl rand -base64 32)`.",
        )
    old = await here.catalog.connection(body.id)
    accepted = _accepted(old.secrets if old is not None else [], body.secret)
    if body.drop_older:
        accepted = accepted[:1]
    before = old or Connection(id=body.id, kind=body.kind)
    url = before.api_url if body.api_url is None else body.api_url
    connection = Connection(
        id=body.id,
        kind=body.kind,
        api_url=url.rstrip("/"),
        secrets=accepted,
        oauth_client_id=body.oauth_client_id or before.oauth_client_id,
        oauth_client_secret=body.oauth_client_secret or before.oauth_client_secret,
        **_proof(before, body, url),
    )
    await here.catalog.put_connection(connection)
    here.directory.connections[connection.id] = connection
    return {**views.connection_view(connection, here.settings.url), "secret": accepted[0]}


def _accepted(before: list[str], new: str) -> list[str]:
    """The newest first. Whoever changes something else ends no rotation that is under way."""
    if before and new in ("", before[0]):
        return before
    return [new or secrets.token_urlsafe(32), *before[:1]]


def _proof(before: Connection, body: ConnectionBody, url: str) -> dict[str, str]:
    """By what the host is known to the forge: a token, or an App. Raises Problem."""
    if not body.app and not body.app_key:
        if body.token or not before.app:
            return {"token": body.token or before.token}
        return {"app": before.app, "app_key": before.app_key}
    app = body.app or before.app
    key = body.app_key or (before.app_key if app == before.app else "")
    wrong = key_problem(key) if key else "none was given"
    if body.kind is not ForgeKind.GITHUB or not app:
        wrong = "only a connection of kind github has one, and `app` is its id"
    elif not url:
        wrong = "`api_url` must say where its forge is, such as https://api.github.com"
    elif body.token:
        wrong = "a connection has a token or an App, not both"
    if wrong is not None:
        raise Problem(422, "No GitHub App", f"`app_key` is the App's private key: {wrong}.")
    return {"app": app, "app_key": key}


@router.get("/repos", summary="List repositories")
async def list_repos(
    here: Here, seen: Seen, after: Place = "", limit: PageSize = PAGE_MAX
) -> dict[str, Any]:
    """By name, with each one's webhook URL. `not_compared` says why its refs are not, and since
    when. `next` is the following page's `after`."""
    known = [repo for repo in await here.catalog.repos() if seen.has(repo.id)]
    page = page_of(known, lambda repo: f"{repo.name} {repo.id}", after, limit)
    told = {one.subject: one for one in await here.sights.not_compared()}
    return {
        "repos": [
            views.repo_view(repo, here.settings.url, _why_not_compared(here, repo, told))
            for repo in page.found
        ],
        "next": page.next,
    }


def _why_not_compared(
    here: Services, repo: Repo, told: Mapping[str, NotCompared]
) -> NotCompared | None:
    if here.settings.reconcile_s == 0:
        reason = "no refs are compared here: Staunch was started with --reconcile-s 0"
        return NotCompared(connection=repo.connection, repo=repo.id, reason=reason, since=0.0)
    return told.get(repo.id) or told.get(repo.connection) or told.get(pulls_of(repo.id))


@router.put("/repos", summary="Register a repository, or change one")
async def put_repo(here: Here, _who: Admin, body: RepoBody) -> dict[str, Any]:
    """Pushes to a repository that is not registered are recorded and ignored. Answers the URL and
    the `secret` of its own webhook."""
    connection = await here.catalog.connection(body.connection)
    if connection is None:
        raise Problem(404, "No such connection", f"Add connection {body.connection!r} first.")
    try:
        external_id = registered_id(connection.kind, body.external_id)
    except Malformed as error:
        told = f"{error}. The guide's page on this forge says where to find it."
        raise Problem(422, "No id of a repository", told) from error
    given = body.model_dump() | {"external_id": external_id}
    repo = Repo(id=f"{body.connection}/{external_id}", **given)
    await here.catalog.put_repo(repo)
    here.directory.repos[repo.id] = repo
    path, secret = given_to(connection, external_id)
    shown = views.repo_view(repo, here.settings.url, None)
    return {**shown, "webhook": f"{here.settings.url}{path}", "secret": secret}


@router.get("/alive", summary="Whether this host's process lives", tags=["health"])
async def alive() -> dict[str, Any]:
    """It answers whatever else is away, and asks nobody. Needs no token."""
    return {"alive": True}


@router.get("/ready", summary="Whether this host can work", tags=["health"])
async def ready(here: Here) -> dict[str, Any]:
    """503 while the store does not answer. Needs no token."""
    await here.bus.request("$JS.API.INFO")
    return {"ready": True}
