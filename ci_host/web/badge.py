"""Badge: the picture that a README shows: one word on a branch, for whom its rule says.

Whoever may not see it gets the picture of a branch without runs, byte for byte: so nobody learns
from it which repositories or branches there are.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from html import escape
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from ci_host.adapters.sql import branches
from ci_host.api.asked import asked
from ci_host.api.auth import Here
from ci_host.api.branches import DECISIVE, NAME_CHARS_MAX, full_ref, main_branch
from ci_host.api.services import Services
from ci_host.api.sight import repos_named
from ci_host.badge import shows
from ci_host.web.page import PageRoute
from pipelines.run import RunState

LOOKED_AT = 50
LABEL_CHARS_MAX = 40
CHAR_PX, PAD_PX = 7, 6

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True, slots=True)
class Badge:
    """What is in the picture."""

    label: str = "staunch"
    word: str = "unknown"


NEUTRAL = Badge()
# The white text is read on each of them (4.5 to 1 at least).
COLOURS = {"passing": "#18774a", "failing": "#bd2b39", "unknown": "#626d78"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the address asks for."""

    branch: Annotated[str, Query(max_length=NAME_CHARS_MAX)] = ""
    pipeline: Annotated[str, Query(max_length=NAME_CHARS_MAX)] = ""
    key: Annotated[str, Query(max_length=NAME_CHARS_MAX)] = ""


@router.get("/badge/{name:path}.svg")
async def badge_picture(
    here: Here, request: Request, name: str, wanted: Annotated[Wanted, Depends(asked(Wanted))]
) -> Response:
    """Of the repository with this name or id. Asked for each time, and sent only if it changed."""
    picture = drawn(await _badge(here, name, wanted)).encode()
    tag = f'"{hashlib.sha256(picture).hexdigest()[:24]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(picture, media_type="image/svg+xml", headers=headers)


async def _badge(here: Services, name: str, wanted: Wanted) -> Badge:
    rules = here.directory.badges
    found = [one for one in repos_named(here, name) if shows(rules.get(one.id), wanted.key)]
    if len(found) != 1:
        return NEUTRAL
    return await asyncio.to_thread(_of_branch, here, found[0].id, wanted)


def _of_branch(here: Services, repo: str, wanted: Wanted) -> Badge:
    """By the newest Run of each pipeline that succeeded or failed. Blocking."""
    ref = full_ref(wanted.branch) if wanted.branch else ""
    ref = ref or main_branch(branches.branches(here.model, repo))
    rows = branches.runs_of_branch(here.model, repo, ref, wanted.pipeline, LOOKED_AT)
    newest: dict[str, str] = {}
    for row in rows:
        if row.state in DECISIVE:
            newest.setdefault(row.pipeline, row.state)
    if not newest:
        return NEUTRAL
    is_good = all(state == RunState.SUCCEEDED for state in newest.values())
    return Badge(wanted.pipeline or NEUTRAL.label, "passing" if is_good else "failing")


def drawn(badge: Badge) -> str:
    """The picture, with its words for those who do not see it."""
    label = badge.label[:LABEL_CHARS_MAX]
    left, right = (len(text) * CHAR_PX + 2 * PAD_PX for text in (label, badge.word))
    said = escape(f"{label}: {badge.word}")
    texts = "".join(
        f'<text x="{x}" y="14" textLength="{len(text) * CHAR_PX}">{escape(text)}</text>'
        for x, text in ((PAD_PX, label), (left + PAD_PX, badge.word))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img"'
        f' aria-label="{said}"><title>{said}</title>'
        f'<clipPath id="r"><rect width="{left + right}" height="20" rx="4"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#3a4651"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{COLOURS[badge.word]}"/></g>'
        f'<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )
