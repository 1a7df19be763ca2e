"""Routes: every address of the real application, found from the application itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import Mount, WebSocketRoute

from ci_host.api.app import create_app
from ci_host.api.permissions import SOCKET
from ci_host.web.site import add_pages


@dataclass(frozen=True, slots=True)
class Address:
    """A method and a path as it is declared; `dependant`: what FastAPI knows of it."""

    method: str
    path: str
    dependant: Dependant | None

    @property
    def words(self) -> str:
        """As the table of permissions names it."""
        return f"{self.method} {self.path}"

    def calls(self) -> set[Any]:
        """Every function that is asked before the route's own is."""
        return {one.call for one in _below(self.dependant)}

    def fields(self) -> set[str]:
        """The names of what it takes in its query and its body."""
        found = set()
        for dependant in [self.dependant, *_below(self.dependant)] if self.dependant else []:
            for one in [*dependant.query_params, *dependant.body_params]:
                found |= {one.alias, *getattr(one.field_info.annotation, "model_fields", {})}
        return found


def _below(dependant: Dependant | None) -> Iterator[Dependant]:
    for one in [] if dependant is None else dependant.dependencies:
        yield one
        yield from _below(one)


@cache
def addresses() -> tuple[Address, ...]:
    """Those of API and pages; static files have none that tells anything.

    Files of tests ask while they are collected, each worker all of them: they are found once.
    """
    app = create_app(cast(Any, SimpleNamespace(directory=None, inbox=None, told=None)))
    add_pages(app)
    found = []
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, Mount):
            continue
        dependant = route.dependant if isinstance(route, APIRoute) else None
        methods = [SOCKET] if isinstance(route, WebSocketRoute) else sorted(route.methods or [])  # type: ignore[attr-defined]
        found += [Address(method, route.path, dependant) for method in methods]  # type: ignore[attr-defined]
    return tuple(found)
