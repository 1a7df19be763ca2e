"""Routes of subscriptions: whose webhooks are called, with what, and what came of it."""

import base64
import dataclasses
import secrets
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from ci_host.adapters.nats.announcements import NatsAnnouncements
from ci_host.api.auth import Admin, Here
from ci_host.api.paging import PAGE_MAX, PageSize, Place, moment, page_of
from ci_host.api.problems import Problem
from ci_host.api.services import Services
from ci_host.api.starting import find_repo
from pipelines.announcement import PATTERN_OF_ID, Announcement, AnnouncementKind, Subscription
from webhooks.forge import Sent
from webhooks.outgoing import Outgoing
from webhooks.signature import STANDARD_SECRET_PREFIX
from webhooks.status_api import problem_of

SUBSCRIPTIONS_MAX = 100
REPOS_MAX = 100
URL_CHARS_MAX = 2_000
SECRET_BYTES = 32

router = APIRouter(prefix="/api/v1/subscriptions", tags=["events"])

Named = Annotated[str, Path(pattern=PATTERN_OF_ID)]


class SubscriptionBody(BaseModel):
    """Where events are sent. `id`: what it is called here; empty: one is made. `repos` (names or
    ids) and `kinds`: of these alone; none: of all."""

    url: str = Field(min_length=1, max_length=URL_CHARS_MAX)
    id: str = Field(default="", pattern=rf"{PATTERN_OF_ID}|^$")
    repos: list[str] = Field(default=[], max_length=REPOS_MAX)
    kinds: list[AnnouncementKind] = Field(default=[], max_length=len(AnnouncementKind))


@router.get("", summary="List whose webhooks are called")
async def list_subscriptions(
    here: Here, _who: Admin, after: Place = "", limit: PageSize = PAGE_MAX
) -> dict[str, Any]:
    """In the order in which they were made. `tries`: the last ones of this host's life, newest
    first; `said` is what was wrong. `next` is the following page's `after`."""
    page = page_of(_all(here), _place, after, limit)
    return {"subscriptions": [_view(here, one) for one in page.found], "next": page.next}


def _place(one: Subscription) -> str:
    return f"{moment(one.created_at)} {one.id}"


@router.post("", status_code=201, summary="Have a webhook called when something happens to runs")
async def make_subscription(here: Here, who: Admin, body: SubscriptionBody) -> dict[str, Any]:
    """What happens from now on, in order, each until it is taken or given up after three days. The
    `secret` signs each call as Standard Webhooks say; it is answered this once."""
    _check_url(body.url)
    id_ = body.id or here.new_id()
    known = {one.id for one in _all(here)}
    if id_ in known:
        raise Problem(409, "There is one", f"{id_!r} is a subscription: remove it, or name another")
    if len(known) >= SUBSCRIPTIONS_MAX:
        said = f"There are {len(known)}, and no more may be: remove one."
        raise Problem(409, "Too many subscriptions", said)
    made = Subscription(
        id=id_,
        url=body.url,
        secrets=[_new_secret()],
        repos=sorted({find_repo(here, name).id for name in body.repos}),
        kinds=sorted(set(body.kinds)),
        after=await NatsAnnouncements(here.bus).newest(),
        by=who.name,
        created_at=here.now(),
    )
    await _keep(here, made)
    return {**_view(here, made), "secret": made.secrets[0]}


@router.delete("/{subscription}", summary="Have a webhook called no more")
async def remove_subscription(here: Here, _who: Admin, subscription: Named) -> dict[str, Any]:
    """At once: what waits for it is not sent."""
    await _keep(here, msgspec.structs.replace(_found(here, subscription), removed=True))
    return {"removed": subscription}


@router.post("/{subscription}/resume", summary="Go on with one that was stopped")
async def resume_subscription(here: Here, _who: Admin, subscription: Named) -> dict[str, Any]:
    """With what happens from now on. What happened meanwhile is in `/events`."""
    resumed = msgspec.structs.replace(_found(here, subscription), stopped="")
    await _keep(here, resumed)
    return _view(here, resumed)


@router.post("/{subscription}/rotate-secret", summary="Sign with a new secret too")
async def rotate_secret(here: Here, _who: Admin, subscription: Named) -> dict[str, Any]:
    """Each call is signed with the new one and with the one before, until the next rotation."""
    found = _found(here, subscription)
    kept = [_new_secret(), found.secrets[0]]
    await _keep(here, msgspec.structs.replace(found, secrets=kept))
    return {**_view(here, found), "secret": kept[0]}


@router.post("/{subscription}/ping", summary="Call a webhook now, to see what it says")
async def ping_subscription(here: Here, who: Admin, subscription: Named) -> dict[str, Any]:
    """An event of the type `dev.staunch.ping`, once. `said`: what was wrong with the answer."""
    found = _found(here, subscription)
    one = Announcement(
        kind=AnnouncementKind.PING,
        repo="",
        run=f"ping-{here.new_id()}",
        turn=0,
        number=0,
        at=here.now(),
        data={"subscription": found.id, "by": who.name},
    )
    sender = Outgoing(here.http, here.settings.url, dice=lambda: 0.0, now=here.now)
    told = await sender.send(found, one, attempt=1)
    return {"taken": isinstance(told, Sent), "said": "" if isinstance(told, Sent) else told.reason}


def _all(here: Services) -> list[Subscription]:
    known = here.directory.subscriptions.values()
    return sorted((one for one in known if not one.removed), key=lambda one: one.created_at)


def _found(here: Services, id_: str) -> Subscription:
    found = here.directory.subscriptions.get(id_)
    if found is None or found.removed:
        names = ", ".join(one.id for one in _all(here)) or "none"
        raise Problem(404, "No such subscription", f"There is no {id_!r} (there is: {names}).")
    return found


async def _keep(here: Services, subscription: Subscription) -> None:
    await here.catalog.put_subscription(subscription)
    here.directory.subscriptions[subscription.id] = subscription


def _check_url(url: str) -> None:
    problem = problem_of(url)
    parts = urlsplit(url) if problem is None else None
    if parts is not None and (parts.scheme not in ("http", "https") or not parts.hostname):
        problem = "it is no http or https address"
    if problem is not None:
        raise Problem(422, "Not an address", f"{url!r} cannot be called: {problem}.")


def _new_secret() -> str:
    key = base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
    return f"{STANDARD_SECRET_PREFIX}{key}"


def _view(here: Services, one: Subscription) -> dict[str, Any]:
    names = {repo.id: repo.name for repo in here.directory.repos.values()}
    return {
        "id": one.id,
        "url": one.url,
        "repos": [names.get(repo) or repo for repo in one.repos],
        "kinds": [str(kind) for kind in one.kinds],
        "stopped": one.stopped,
        "by": one.by,
        "created_at": one.created_at,
        "tries": [dataclasses.asdict(tried) for tried in here.tries.get(one.id, ())],
    }
