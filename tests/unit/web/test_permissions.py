"""The table of what each route takes: complete, and not laxer than the routes themselves."""

import pytest

from ci_host.access import Level
from ci_host.api.auth import admin, person
from ci_host.api.permissions import NEEDS, SOCKET, UNLISTED, Place, need_of
from tests.web.routes import addresses

ALL = addresses()
OF_REPO = {Place.REPO, Place.REPO_OR_LIST, Place.REPO_OR_HERE}
# A list that can be filtered by a repository says nothing of one that is not seen.
FILTERED = {"GET /api/v1/runs", "GET /", "GET /fragment", "GET /live"}
# These change what the whole installation takes in, whichever repository they name.
OF_ALL = {"POST /api/v1/tokens"}


def test_every_route_is_in_the_table_and_nothing_else_is() -> None:
    assert {one.words for one in ALL} == set(NEEDS)


def test_a_route_that_nobody_thought_of_is_the_administrators() -> None:
    assert need_of("GET", "/api/v1/new") == UNLISTED
    assert (UNLISTED.level, UNLISTED.place) == (Level.ADMIN, Place.HERE)


@pytest.mark.parametrize("address", ALL, ids=lambda one: one.words)
def test_each_route_is_checked_as_the_table_says(address) -> None:
    need = NEEDS[address.words]
    if address.method == SOCKET:
        # It has no dependencies; the two-user sweep proves that it asks.
        assert need.place is Place.JOB
        return
    assert (person in address.calls()) == (need.place is not Place.OPEN)
    assert (admin in address.calls()) == (need.level is Level.ADMIN)
    if address.method in ("POST", "PUT", "DELETE") and need.place not in (Place.OPEN, Place.SELF):
        assert need.level is not Level.READ, "what changes something takes more than reading"


@pytest.mark.parametrize("address", ALL, ids=lambda one: one.words)
def test_each_route_that_names_a_repository_is_judged_by_it(address) -> None:
    place = NEEDS[address.words].place
    if "{run}" in address.path:
        assert place is Place.RUN
    elif "{job}" in address.path:
        assert place is Place.JOB
    elif "{repo:path}" in address.path:
        assert place is Place.REPO
    elif "repo" in address.fields() and address.words not in FILTERED | OF_ALL:
        assert place in OF_REPO
    else:
        assert place not in {Place.RUN, Place.JOB}
