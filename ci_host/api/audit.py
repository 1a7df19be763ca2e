"""Routes of the audit log, and what writes it: every request that changed something, in one place.

`auth.py` notes who asks for what; here it is recorded once it was done, before that is answered.
"""

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
import structlog
from fastapi import APIRouter, Depends, Query
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ci_host.access import Token
from ci_host.adapters.nats.audit import Deeds
from ci_host.api.asked import asked
from ci_host.api.auth import NOTED, Admin, Here
from ci_host.api.services import Services
from ci_host.audit import Deed
from ci_host.ports import Unavailable

PAGE_MAX = 500
SEQUENCE_MAX = 2**63 - 1

# So many are passed over to fill a page that has filters; the next page goes on from there.
LOOKED_AT_MAX = 5_000
WORD_CHARS_MAX = 300

router = APIRouter(prefix="/api/v1", tags=["installation"])

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeedFilters:
    """What an empty one wants: everything."""

    by: Annotated[str, Query(max_length=WORD_CHARS_MAX)] = ""
    act: Annotated[str, Query(max_length=WORD_CHARS_MAX)] = ""
    about: Annotated[str, Query(max_length=WORD_CHARS_MAX)] = ""

    def given(self) -> dict[str, str]:
        """Those that filter, by name."""
        found = {name: getattr(self, name).strip() for name in ("by", "act", "about")}
        return {name: value for name, value in found.items() if value}

    def has(self, deed: Deed) -> bool:
        """Whether it is wanted. Capitals are all the same."""
        wanted = {name: value.casefold() for name, value in self.given().items()}
        return (
            wanted.get("by", deed.by.casefold()) == deed.by.casefold()
            and wanted.get("act", "") in deed.act.casefold()
            and any(wanted.get("about", "") in one.casefold() for one in ("", *deed.on.values()))
        )

    def address(self, before: int | None = None) -> str:
        """The query string of the page with these filters, at another place."""
        place = {} if before is None else {"before": before}
        return urlencode({**self.given(), **place})


@router.get("/audit", summary="What people did")
async def show_audit(
    here: Here,
    _who: Admin,
    wanted: Annotated[DeedFilters, Depends(asked(DeedFilters))],
    before: Annotated[int | None, Query(ge=1, le=SEQUENCE_MAX)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> dict[str, Any]:
    """Newest first, for 365 days. `on`: what was named, without values; `next` is the following
    page's `before`: there may be more where a page with filters has fewer, or none. `by`: all of a
    name; `act`, `about`: a part of the route, or of what was named."""
    found = await deeds(here, before, limit, wanted)
    return {"acts": msgspec.to_builtins(found.found), "next": found.following}


async def deeds(here: Services, before: int | None, limit: int, wanted: DeedFilters) -> Deeds:
    """At most `limit` of those that are wanted; many others are passed over, but not for ever.

    Raises Unavailable.
    """
    found: list[Deed] = []
    places: list[int] = []
    looked_at = 0
    while True:
        page = await here.audit.page(before, PAGE_MAX if wanted.given() else limit)
        for deed, place in zip(page.found, page.places, strict=True):
            if wanted.has(deed):
                found.append(deed)
                places.append(place)
            if len(found) == limit and place > 1:
                return Deeds(found, place, places)
        before, looked_at = page.following, looked_at + PAGE_MAX
        if before is None or looked_at >= LOOKED_AT_MAX:
            return Deeds(found, before, places)


class Audited:
    """Records what was done, where it was not refused."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app, self._here = app, services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        noted = scope.setdefault("state", {})

        async def send_recorded(message: Message) -> None:
            who = noted.get(NOTED)
            if message["type"] == "http.response.start" and who and message["status"] < 400:
                await record(self._here, who, HTTPConnection(scope), message["status"], noted)
            await send(message)

        await self._app(scope, receive, send_recorded)


def address_of(asked: HTTPConnection) -> str:
    """Whose connection it is; a proxy on this machine is believed of whom it speaks for."""
    return asked.client.host if asked.client is not None else ""


async def record(
    here: Services, who: Token, asked: HTTPConnection, status: int, noted: dict[str, Any]
) -> None:
    """Keep it. What cannot be recorded is in the host's log, for it is done all the same."""
    method = asked.scope.get("method", "WS")
    on = {**noted.get("on", {}), **{k: str(v) for k, v in asked.path_params.items()}}
    deed = Deed(
        at=here.now(),
        by=who.name,
        token=who.id,
        act=f"{method} {asked.scope['route'].path}",
        on=on,
        address=address_of(asked),
        status=status,
    )
    try:
        await here.audit.record(deed)
    except Unavailable as error:
        log.exception("act_not_recorded", reason=str(error), **msgspec.to_builtins(deed))
