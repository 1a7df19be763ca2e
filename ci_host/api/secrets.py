"""Routes of secrets. A value comes in and never goes out: nothing here could answer with one."""

import hashlib
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, SecretStr

from ci_host.api.auth import Admin, Here, Person, Seen
from ci_host.api.paging import PAGE_MAX, PageSize, Place, page_of
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.api.sight import Sight
from ci_host.api.starting import find_repo
from ci_host.envelopes import StoredSecret
from pipelines.event import EventKind
from pipelines.secret import NamedScope, Scope

# What tells two secrets of one name apart.
PARTS = ("repo", "org", "environment", "pool", "event")
PLACE_TOLD_MAX = 1_000

router = APIRouter(prefix="/api/v1", tags=["secrets"])


class NamedBody(BaseModel):
    """Which secret: `repo` is its name or id, `org` the owner's name or `<connection>/<owner>`."""

    name: str
    repo: str = ""
    org: str = ""
    environment: str = ""
    pool: str = ""
    event: EventKind | None = None


class SecretBody(NamedBody):
    """A secret and its value, a text. `rotate`: there must be one already."""

    value: SecretStr
    rotate: bool = False


@router.get("/secrets", summary="List secrets, without their values")
async def list_secrets(
    here: Here, seen: Seen, after: Place = "", limit: PageSize = PAGE_MAX
) -> dict[str, Any]:
    """By name. `version` counts its values; `by` gave the last one, `at` then. `next` is the
    following page's `after`."""
    page = page_of(await _seen(here, seen), place_of, after, limit)
    return {"secrets": [_view(here, secret) for secret in page.found], "next": page.next}


def place_of(secret: StoredSecret) -> str:
    """Of ids, since repositories of two forges may have one name. Its end tells apart what is too
    long to be told in an address."""
    told = json.dumps([secret.name, *(getattr(secret.scope, part) for part in PARTS)])
    return f"{told[:PLACE_TOLD_MAX]} {hashlib.sha256(told.encode()).hexdigest()}"


async def secrets_seen(here: Services, seen: Sight) -> list[dict[str, Any]]:
    """In the order of names. Raises Unavailable."""
    return [_view(here, secret) for secret in await _seen(here, seen)]


async def _seen(here: Services, seen: Sight) -> list[StoredSecret]:
    return [one for one in await here.secrets.all() if seen.has(one.scope.repo)]


@router.put("/secrets", summary="Set a secret, or give it another value")
async def put_secret(here: Here, who: Admin, body: SecretBody) -> dict[str, Any]:
    """The most specific secret of a name is what a job gets: repo over org, then environment, pool,
    event. The value is never answered, by no route."""
    value = body.value.get_secret_value()
    named = _named(here, body)
    stored = await here.secrets.put(named, value, who.name, is_new_allowed=not body.rotate)
    return _view(here, stored)


@router.delete("/secrets", summary="Remove a secret")
async def remove_secret(
    here: Here, who: Admin, named: Annotated[NamedBody, Query()]
) -> dict[str, Any]:
    """No job gets it from now on."""
    await here.secrets.remove(_named(here, named), who.name)
    return {"removed": named.name}


@router.post("/secrets/rotate-key", summary="Keep all secrets under a new key")
async def rotate_key(here: Here, _who: Admin) -> dict[str, Any]:
    """Their values stay. May be repeated."""
    return {"secrets": await here.secrets.rotate_key()}


class PublicKeyBody(BaseModel):
    """Of which repository: its name or id."""

    repo: str


@router.put("/secrets/public-key", summary="The public key for a repository's own secrets")
async def have_public_key(here: Here, who: Person, body: PublicKeyBody) -> dict[str, Any]:
    """An age recipient: what is encrypted to it in `.staunch/secrets.age` only this repository's
    jobs get. It is made if there is none. `older`: those that are opened still."""
    return _keys(await here.secrets.sealed.recipients(find_repo(here, body.repo).id, who.name))


@router.post(
    "/secrets/public-key/rotate", summary="A new public key for a repository's own secrets"
)
async def rotate_public_key(here: Here, who: Admin, body: PublicKeyBody) -> dict[str, Any]:
    """What was encrypted to the older ones is opened still, until they are dropped."""
    return _keys(await here.secrets.sealed.rotate(find_repo(here, body.repo).id, who.name))


@router.post("/secrets/public-key/drop-older", summary="Drop a repository's older public keys")
async def drop_older_public_keys(here: Here, who: Admin, body: PublicKeyBody) -> dict[str, Any]:
    """What was encrypted to them opens no more, at old commits either. May be repeated."""
    return {
        "dropped": await here.secrets.sealed.drop_older(find_repo(here, body.repo).id, who.name)
    }


def _keys(recipients: list[str]) -> dict[str, Any]:
    return {"recipient": recipients[0], "older": recipients[1:]}


def _named(here: Services, body: NamedBody) -> NamedScope:
    """Raises Problem for a repository or an owner that nobody knows."""
    scope = Scope(
        repo=find_repo(here, body.repo).id if body.repo else "",
        org=_org(here, body.org) if body.org else "",
        environment=body.environment,
        pool=body.pool,
        event=body.event or "",
    )
    return NamedScope(name=body.name, scope=scope)


def _org(here: Services, name: str) -> str:
    repos = here.directory.repos.values()
    known = {f"{repo.connection}/{repo.name.rpartition('/')[0]}" for repo in repos}
    found = sorted(one for one in known if name in (one, one.partition("/")[2]))
    if len(found) == 1:
        return found[0]
    if found:
        raise Problem(422, "Which of them?", f"{name!r} may be any of {', '.join(found)}.")
    owners = ", ".join(sorted(known)) or "none"
    raise Problem(404, "No such owner", f"No repository here is of {name!r} (there is: {owners}).")


def _view(here: Services, secret: StoredSecret) -> dict[str, Any]:
    scope = secret.scope
    repo = here.directory.repos.get(scope.repo)
    return {
        "name": secret.name,
        "repo": repo.name if repo is not None else scope.repo,
        "org": scope.org,
        "environment": scope.environment,
        "pool": scope.pool,
        "event": scope.event,
        "version": secret.version,
        "at": secret.at,
        "by": secret.by,
        "key": secret.key,
    }
