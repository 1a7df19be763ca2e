"""Keys made and ended in a real browser: what is shown once is not shown by Back."""

import httpx2
import pytest

from tests.web.axe import WHY_NOT, barriers
from tests.web.browser import CHROMIUM, logged_in
from tests.web.hand import Hand
from tests.web.served import served_world
from tests.web.world import SECRETS

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.slow,
]

KEY = "document.querySelector('[aria-label=\"The new token\"]')"


@pytest.fixture
def host(tmp_path):
    with served_world(tmp_path) as host:
        yield host


@pytest.fixture
def page(tmp_path, host):
    with logged_in(tmp_path / "profile", host.url, SECRETS["ada"]) as page:
        yield page


def answered(host, secret: str) -> int:
    bearer = {"Authorization": f"Bearer {secret}"}
    return httpx2.get(f"{host.url}/api/v1/runs", headers=bearer).status_code


def made(page, host, name: str) -> str:
    """The key, as its page shows it."""
    page.open(f"{host.url}/tokens")
    page.evaluate("document.getElementById('token-name').focus(), true")
    Hand(page).type(name).click("Make a token")
    return page.until(f"{KEY}?.textContent")


def test_a_key_is_made_used_and_revoked(page, host):
    secret = made(page, host, "ci-bot")
    assert answered(host, secret) == 200
    for size in ({}, {"dark": True}, {"width": 390, "height": 844}):
        page.look(**size)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if not WHY_NOT:
            assert barriers(page) == []
    page.look()
    # The list moves by itself; what is shown once stays for whoever has not copied it yet.
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    assert page.evaluate(f"{KEY}.textContent") == secret
    named = [one for one in host.world.directory.tokens.values() if one.name == "ci-bot"]
    assert len(named) == 1
    Hand(page).click(f"Revoke {named[0].id} of ci-bot")
    page.until(f"{KEY} === null && document.getElementById('tokens-over') !== null")
    assert answered(host, secret) == 401


def test_neither_back_nor_going_on_and_returning_shows_a_key_again(page, host):
    secret = made(page, host, "ci-bot")
    page.open(f"{host.url}/inbox")
    page.back()
    page.until("location.pathname !== '/inbox'")
    page.until("document.readyState === 'complete'")
    assert secret not in page.evaluate("document.documentElement.outerHTML")
    assert len(host.world.directory.tokens) == len(SECRETS) + 1, "nothing was sent once more"
    page.complaints.clear()


def test_loading_the_answer_again_makes_no_other_key(page, host):
    secret = made(page, host, "ci-bot")
    page.call("Page.reload")
    page.until("document.body?.innerText.includes('This form was sent already')")
    assert secret not in page.evaluate("document.documentElement.outerHTML")
    assert len(host.world.directory.tokens) == len(SECRETS) + 1
    page.complaints.clear()
