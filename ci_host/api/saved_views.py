"""Routes of saved views: lists of runs that a person has named, for themself."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from ci_host.access import Token
from ci_host.api.auth import Here, Person
from ci_host.api.problems import Problem
from ci_host.api.run_filters import NAMES, RunFilters
from ci_host.api.services import Services
from ci_host.ports import Conflict
from ci_host.view_ports import VIEWS_MAX, SavedView

NAME_CHARS_MAX = 60
FILTER_CHARS_MAX = 1_000
TRIES = 5

ViewName = Annotated[
    str, Field(min_length=1, max_length=NAME_CHARS_MAX, pattern=r"^[^\x00-\x1f\x7f]+$")
]

router = APIRouter(prefix="/api/v1/views", tags=["runs"])


class ViewBody(BaseModel):
    """`filters`: those of `GET /runs`, by name; a view of the same name is replaced."""

    name: ViewName
    filters: dict[str, Annotated[str, Field(max_length=FILTER_CHARS_MAX)]] = Field(
        max_length=len(NAMES)
    )


@router.get("", summary="List my saved views of runs")
async def list_views(here: Here, who: Person) -> dict[str, Any]:
    """By name. `GET /runs?view=<name>` lists what one of them looks for."""
    return {"views": [view_of(here, one) for one in await saved(here, who)]}


@router.put("", summary="Save a view of runs")
async def put_view(here: Here, who: Person, body: ViewBody) -> dict[str, Any]:
    """It is the caller's own, whichever of their tokens they come with."""
    return view_of(here, await save(here, who, body.name, body.filters))


@router.delete("", summary="Delete a saved view of runs")
async def delete_view(
    here: Here, who: Person, name: Annotated[str, Query(min_length=1, max_length=NAME_CHARS_MAX)]
) -> dict[str, Any]:
    """No error where there is none of this name."""
    await forget(here, who, name)
    return {"deleted": name}


async def saved(here: Services, who: Token) -> Sequence[SavedView]:
    """All of somebody's. Raises Unavailable."""
    return (await here.views.read(who.person))[1]


async def chosen(here: Services, who: Token, wanted: RunFilters, view: str) -> RunFilters:
    """The filters, with those of the view that is named. Raises Problem, Unavailable."""
    if not view:
        return wanted
    found = {one.name: one for one in await saved(here, who)}.get(view)
    if found is None:
        said = f"You have saved no view {view!r}: the page of runs has those that you have."
        raise Problem(404, "No such view", said)
    return wanted.over(found.filters)


async def save(here: Services, who: Token, name: str, filters: dict[str, str]) -> SavedView:
    """Raises Problem, Unavailable."""
    unknown = sorted(set(filters) - set(NAMES))
    if unknown:
        said = f"{', '.join(unknown)}: runs are not filtered so, but by {', '.join(NAMES)}."
        raise Problem(422, "No such filter", said)
    wanted = RunFilters(**filters)
    # A view that could never be shown is none.
    wanted.wish(here.now(), None, None, 1)
    made = SavedView(name=name, filters=wanted.given(), at=here.now())
    await _change(here, who, name, made)
    return made


async def forget(here: Services, who: Token, name: str) -> None:
    """Raises Problem, Unavailable."""
    await _change(here, who, name, None)


async def _change(here: Services, who: Token, name: str, made: SavedView | None) -> None:
    for _ in range(TRIES):
        revision, views = await here.views.read(who.person)
        kept = [one for one in views if one.name != name] + ([made] if made else [])
        if len(kept) > VIEWS_MAX:
            said = f"You have {VIEWS_MAX} saved views, as many as can be: delete one first."
            raise Problem(409, "Too many views", said)
        if made is None and len(kept) == len(views):
            return
        try:
            await here.views.write(who.person, sorted(kept, key=_by_name), after=revision)
        except Conflict:
            continue
        return
    raise Problem(409, "Somebody was faster", "Your views are being changed elsewhere: try again.")


def _by_name(one: SavedView) -> tuple[str, str]:
    return one.name.casefold(), one.name


def query_of(view: SavedView) -> str:
    """The query string of the list of runs."""
    return urlencode(dict(view.filters))


def view_of(here: Services, one: SavedView) -> dict[str, Any]:
    """As the API has it; `url` is the page that shows it."""
    return {
        "name": one.name,
        "filters": dict(one.filters),
        "at": one.at,
        "url": f"{here.settings.url}/?{query_of(one)}",
    }
