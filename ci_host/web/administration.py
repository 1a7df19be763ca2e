"""Administration: the pages of secrets, of the audit log, and of the installation itself."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from ci_host.api.about import about
from ci_host.api.asked import asked
from ci_host.api.audit import SEQUENCE_MAX, DeedFilters, deeds
from ci_host.api.auth import Admin, Here, Person, Seen
from ci_host.api.environments import rules_seen
from ci_host.api.secrets import secrets_seen
from ci_host.web.page import PageRoute, pages_of

DEEDS_SHOWN = 100

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/secrets")
async def secrets_page(here: Here, who: Person, seen: Seen, request: Request) -> Response:
    """Names, for which jobs they are, and who gave the last value; never a value."""
    return pages_of(request).answer(
        request,
        "secrets.html",
        who=who,
        secrets=await secrets_seen(here, seen),
        environments=await rules_seen(here, seen),
        now=here.now(),
    )


@router.get("/audit")
async def audit_page(
    here: Here,
    who: Admin,
    request: Request,
    wanted: Annotated[DeedFilters, Depends(asked(DeedFilters))],
    before: Annotated[int | None, Query(ge=1, le=SEQUENCE_MAX)] = None,
) -> Response:
    """What people did, the newest first."""
    found = await deeds(here, before, DEEDS_SHOWN, wanted)
    return pages_of(request).answer(
        request,
        "audit.html",
        who=who,
        deeds=found.found,
        following=found.following,
        wanted=wanted,
        before=before,
        now=here.now(),
    )


@router.get("/settings")
async def settings_page(here: Here, who: Admin, request: Request) -> Response:
    """What it runs with; nothing of it is changed here."""
    return pages_of(request).answer(
        request, "settings.html", who=who, about=await about(here), now=here.now()
    )
