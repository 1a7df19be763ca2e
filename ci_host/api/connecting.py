"""Connecting: a repository of a forge from its address to its first webhook call, in one act.

Finds it through the forge's API, registers connection and repository, has the forge call us, and
has it try. Every step may be repeated; what was done before a failure stays, and is told.
"""

import asyncio
from typing import Annotated, Any

import structlog
from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from ci_host.adapters.sql import queries
from ci_host.api.auth import Admin, Here
from ci_host.api.installation import ConnectionBody, RepoBody, put_connection, put_repo
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from pipelines.repo import Connection, ForgeKind
from webhooks.forge import FoundRepo, Later, MadeHook, Refused, Tried
from webhooks.setup import NoPlace, Place, place_of, setup_of

router = APIRouter(prefix="/api/v1", tags=["installation"])

ARRIVAL_S = 10.0
LOOK_S = 0.25

log = structlog.get_logger()


class ConnectBody(BaseModel):
    """`url`: the repository's address in a browser. `connection`: what it is called here; empty:
    the kind of its forge. `token` empty: the connection has one."""

    kind: ForgeKind
    url: Annotated[str, StringConstraints(max_length=2_000)]
    token: str = ""
    connection: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9-]{0,63})?$")
    api_url: str = ""
    oauth_client_id: str = ""
    oauth_client_secret: str = ""


@router.post("/connect", summary="Have a forge's repository call us, and try it")
async def connect(here: Here, who: Admin, body: ConnectBody) -> dict[str, Any]:
    """Answers what was found and done; `missing` says what is left to do by hand."""
    place = _place(body)
    identity = body.connection or str(body.kind)
    old = await here.catalog.connection(identity)
    if old is not None and (old.kind != body.kind or _is_elsewhere(old, place)):
        raise Problem(
            409,
            "Another forge has this name",
            f"Connection {identity} is {old.kind} at {old.api_url or 'no API'}: name this one with"
            " --connection.",
        )
    asked = Connection(
        id=identity,
        kind=body.kind,
        api_url=place.api_url,
        token=body.token or (old.token if old is not None else ""),
    )
    found = await _look_up(here, asked, place)
    settings = ConnectionBody(
        id=identity,
        kind=body.kind,
        api_url=place.api_url,
        token=asked.token,
        oauth_client_id=body.oauth_client_id,
        oauth_client_secret=body.oauth_client_secret,
    )
    await put_connection(here, who, settings)
    repo = RepoBody(
        connection=identity,
        external_id=found.external_id,
        name=found.name,
        clone_url=found.clone_url,
    )
    put = await put_repo(here, who, repo)
    hook, tested = await _hooked(here, asked, found, put)
    log.info("repo_connected", repo=found.name, connection=identity, by=who.name)
    return {
        "connection": identity,
        "repo": found.name,
        "external_id": found.external_id,
        "clone_url": found.clone_url,
        "webhook": put["webhook"],
        "hook": "made" if hook.is_new else "brought up to date",
        "arrived": tested.arrived,
        "tested": tested.words,
        "missing": _missing(here, tested),
    }


def _place(body: ConnectBody) -> Place:
    try:
        place = place_of(body.kind, body.url)
    except NoPlace as error:
        raise Problem(422, "No repository", str(error)) from error
    return Place(body.api_url.rstrip("/"), place.name) if body.api_url else place


def _is_elsewhere(old: Connection, place: Place) -> bool:
    return bool(old.api_url) and old.api_url.rstrip("/") != place.api_url


async def _look_up(here: Services, connection: Connection, place: Place) -> FoundRepo:
    setup = setup_of(connection, here.http, here.now())
    if setup is None:
        raise Problem(
            422,
            "Not by itself",
            f"A repository of {connection.kind} is connected by hand: `staunch repo add`.",
        )
    if not connection.token:
        raise Problem(422, "No token", "Give one that may read the repository and add webhooks.")
    found = await setup.look_up(place.name)
    if not isinstance(found, FoundRepo):
        raise _problem(f"{place.name} was not found at {place.api_url}", found)
    if found.may_hook is False:
        raise Problem(
            409,
            "May add no webhook",
            f"The token may read {found.name}, and not change its webhooks: that takes one of an"
            " administrator of the repository. Nothing was changed.",
        )
    return found


async def _hooked(
    here: Services, connection: Connection, found: FoundRepo, put: dict[str, Any]
) -> tuple[MadeHook, Tried]:
    """The webhook, and what came of trying it. Raises Problem."""
    setup = setup_of(connection, here.http, here.now())
    assert setup is not None, "it has found the repository"
    hook = await setup.make_hook(found, put["webhook"], put["secret"])
    if not isinstance(hook, MadeHook):
        raise _problem(f"{found.name} is registered, and its webhook could not be made", hook)
    since = here.now()
    tested = await setup.test(found, hook)
    if not isinstance(tested, Tried):
        return hook, Tried(None, f"the forge would not try it: {tested.reason}")
    if tested.arrived is None and await _has_arrived(here, connection.id, since):
        return hook, Tried(True, f"{tested.words}, and it arrived")
    return hook, tested


async def _has_arrived(here: Services, connection: str, since: float) -> bool:
    """Whether a call of this connection is recorded within a while."""
    wish = queries.Deliveries(connection=connection, limit=1)
    for _ in range(int(ARRIVAL_S / LOOK_S)):
        rows = await asyncio.to_thread(queries.list_deliveries, here.model, wish)
        if rows and rows[0].received_at >= since:
            return True
        await asyncio.sleep(LOOK_S)
    return False


def _missing(here: Services, tested: Tried) -> list[str]:
    if tested.arrived:
        return []
    said = [f"no webhook call was seen yet ({tested.words}); `staunch deliveries` shows those"]
    if here.settings.url.startswith("http://127.") or "//localhost" in here.settings.url:
        said.append(
            f"the forge is told to call {here.settings.url}, which it can reach on this machine"
            " alone: start Staunch with --base-url, behind a proxy with TLS"
        )
    return said


def _problem(what: str, told: Later | Refused) -> Problem:
    status = 503 if isinstance(told, Later) else 422
    return Problem(status, "Not connected", f"{what}: {told.reason}")
