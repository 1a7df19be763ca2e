"""Every page in a browser, light and dark, wide and on a phone: no barrier, no complaint, nothing
that hangs over; and a picture of each is kept."""

import os
from pathlib import Path

import pytest

from tests.web.axe import COLOURS, WHY_NOT, barriers
from tests.web.browser import CHROMIUM, browser
from tests.web.every_page import PAGES, furnished
from tests.web.served import served_world
from tests.web.world import SECRETS

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.slow,
    pytest.mark.xdist_group("every-page"),
]

DEFAULT = Path(__file__).resolve().parents[2] / "build" / "screenshots"
PICTURES = Path(os.environ.get("STAUNCH_SCREENSHOTS") or DEFAULT)
# By what a picture's name ends with.
LOOKS = {"": {}, "-dark": {"dark": True}, "-phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with served_world(tmp_path_factory.mktemp("every-page")) as host:
        yield host


@pytest.fixture(scope="module")
def named(host):
    return furnished(host)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    PICTURES.mkdir(parents=True, exist_ok=True)
    with browser(tmp_path_factory.mktemp("browser") / "profile") as page:
        yield page


def enter(page, host, one, named) -> None:
    """Open the page as who looks at it, and do there what belongs to it."""
    page.call("Network.clearBrowserCookies")
    if one.who:
        page.set_cookie(host.url, "staunch_token", SECRETS[one.who])
    page.look()
    page.complaints.clear()
    page.open(host.url + one.address.format(**named))
    if one.act:
        page.evaluate(f"({one.act}, true)")
    # What follows by itself is there: the log has its lines, or there is none.
    page.until("!document.querySelector('.line.missing')")


@pytest.mark.parametrize("one", PAGES, ids=lambda one: one.name)
def test_a_page_has_no_barrier_and_breaks_no_rule_in_any_colours_and_on_a_phone(
    page, host, named, one
):
    enter(page, host, one, named)
    assert page.evaluate("performance.getEntriesByType('navigation')[0].responseStatus") == (
        one.status
    )
    found = {}
    for look, size in LOOKS.items():
        page.look(**size)
        page.screenshot(PICTURES / f"{one.name}{look}.png")
        if not WHY_NOT:
            found[look] = barriers(page, COLOURS if look == "-dark" else ())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), look
    assert {look: ones for look, ones in found.items() if ones} == {}
    # A browser says so itself when a page is answered with a refusal.
    own = f"status of {one.status}" if one.status >= 400 else "\0"
    assert [said for said in page.complaints if own not in said] == []


def test_a_barrier_a_forbidden_script_and_an_error_would_be_found(page, host, named):
    enter(page, host, PAGES[0], named)
    page.evaluate("document.body.append(document.createElement('img')), true")
    if not WHY_NOT:
        assert any(one.startswith("image-alt") for one in barriers(page))
    page.evaluate("document.querySelector('main').style.color = 'red', console.error('so'), true")
    page.evaluate(
        "document.head.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.pwned = 1'})), true"
    )
    page.until("window.pwned === undefined")
    assert any("Content Security Policy" in one for one in page.complaints)
    assert "so" in page.complaints
    page.complaints.clear()


def test_barriers_were_looked_for_or_their_program_could_not_be_fetched():
    """CI must have tried."""
    if WHY_NOT:
        assert not os.environ.get("CI") or "cannot be reached" in WHY_NOT, WHY_NOT
        pytest.skip(WHY_NOT)
