"""Every page is in the table that tests of pages walk over."""

from ci_host.web.site import FOR_MACHINES
from tests.web.every_page import PAGES, PARTS
from tests.web.routes import addresses


def test_every_page_is_in_the_table_and_nothing_else_is():
    shown = {
        one.path
        for one in addresses()
        if one.method == "GET" and not one.path.startswith((*FOR_MACHINES, "/.well-known"))
    }
    assert {one.route for one in PAGES if one.route} == shown - PARTS
    assert shown >= PARTS


def test_every_line_of_the_table_has_a_name_of_its_own():
    assert len({one.name for one in PAGES}) == len(PAGES)
