"""Routes of the audit log, and what writes it: every request that changed something, in one place.

`auth.py` notes who asks for what; here it is recorded once it was done, before that is answered.
"""

from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Query
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ci_host.access import Token
from ci_host.api.auth import NOTED, Admin, Here
from ci_host.api.services import Services
from ci_host.audit import Deed
from ci_host.ports import Unavailable

PAGE_MAX = 500
SEQUENCE_MAX = 2**63 - 1

router = APIRouter(prefix="/api/v1", tags=["installation"])

log = structlog.get_logger()


@router.get("/audit", summary="What people did")
async def show_audit(
    here: Here,
    _who: Admin,
    before: Annotated[int | None, Query(ge=1, le=SEQUENCE_MAX)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> dict[str, Any]:
    """Newest first, for 365 days. `on`: what was named, without values; `next` is the following
    page's `before`."""
    found = await here.audit.page(before, limit)
    return {"acts": msgspec.to_builtins(found.found), "next": found.following}


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
        address=asked.client.host if asked.client is not None else "",
        status=status,
    )
    try:
        await here.audit.record(deed)
    except Unavailable as error:
        log.exception("act_not_recorded", reason=str(error), **msgspec.to_builtins(deed))
