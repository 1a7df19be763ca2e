"""Views: the buttons of the list of runs that keep it under a name, and forget it again."""

from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from ci_host.api.auth import Here, Person
from ci_host.api.bodies import read_form
from ci_host.api.problems import Problem
from ci_host.api.saved_views import ViewBody, forget, query_of, save
from ci_host.web.page import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.post("/views")
async def save_view(here: Here, who: Person, request: Request) -> Response:
    """`address`: the query string of the list that is to be kept."""
    form = await read_form(request)
    try:
        filters = dict(parse_qsl(form.get("address", ""), max_num_fields=20))
        body = ViewBody(name=form.get("name", "").strip(), filters=filters)
    except (ValidationError, ValueError) as error:
        said = "A view needs a name of at most 60 characters, and filters. Go back."
        raise Problem(422, "No such view", said) from error
    made = await save(here, who, body.name, body.filters)
    return RedirectResponse(f"/?{query_of(made)}", 303)


@router.post("/views/delete")
async def delete_view(here: Here, who: Person, request: Request) -> Response:
    """No error where there is none of this name."""
    await forget(here, who, (await read_form(request)).get("name", ""))
    return RedirectResponse("/", 303)
