"""Pages of which nobody tells that they changed, in a real browser: they look by themselves."""

import pytest

from pipelines.commands import GateTerms, InputRule
from pipelines.secret import NamedScope, Scope
from tests.web.browser import CHROMIUM, logged_in
from tests.web.every_page import waiting_job
from tests.web.schedules import scheduled
from tests.web.served import served_world
from tests.web.told_runs import waiting_run
from tests.web.trust import held_pull
from tests.web.world import SECRETS

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.slow,
    pytest.mark.xdist_group("pages-look"),
]


async def delivered(world):
    world.delivered("d-1", reason="no pipeline runs on it")


async def secret(world):
    named = NamedScope(name="NPM_TOKEN", scope=Scope(repo="tea/7"))
    await world.services.secrets.put(named, "correct horse battery", "ada")


# What happens, and what is said of it then.
NEWS = {
    "/runners": (lambda world: waiting_job(world, 1), "It waits for a runner"),
    "/deliveries": (delivered, "no pipeline runs on it"),
    "/secrets": (secret, "NPM_TOKEN"),
    "/schedules": (scheduled, "nightly"),
    "/trust": (held_pull, "Faster checkout"),
    "/inbox": (lambda world: waiting_run(world, 1), "caused by"),
    "/repos": (lambda world: waiting_run(world, 1), "Waiting"),
    "/repos/me/shop": (lambda world: waiting_run(world, 1), "A shop with a cart"),
}


@pytest.fixture
def host(tmp_path):
    with served_world(tmp_path) as host:
        yield host


@pytest.fixture
def page(tmp_path, host):
    with logged_in(tmp_path / "profile", host.url, SECRETS["ada"]) as page:
        yield page


def text_of(page) -> str:
    return page.evaluate("document.querySelector('main').textContent")


@pytest.mark.parametrize("path", NEWS)
def test_a_page_shows_what_happens_without_a_reload(page, host, path):
    act, said = NEWS[path]
    page.open(host.url + path)
    assert said not in text_of(page)
    page.evaluate("window.same = true")
    host.do(act(host.world))
    if path != "/runners":
        # A reader who comes back to it need not wait for its next look.
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.until(f"document.querySelector('main').textContent.includes({said!r})")
    assert page.evaluate("window.same")


def test_what_was_typed_chosen_and_reached_stays_while_a_page_moves(page, host):
    terms = GateTerms(
        inputs={"note": "str", "where": "str"}, rules={"where": InputRule(choices=["eu", "us"])}
    )
    host.do(waiting_run(host.world, 1, terms=terms))
    page.open(f"{host.url}/inbox")
    page.evaluate("document.querySelector('[name=\"input.note\"]').value = 'soon', true")
    page.evaluate("document.querySelector('select').value = 'us', true")
    page.evaluate("document.querySelector('button[value=reject]').focus(), true")
    host.do(waiting_run(host.world, 2, terms=GateTerms()))
    page.until("document.querySelectorAll('.gate').length === 2")
    form = "document.querySelector('select').form"
    assert page.evaluate(f"new FormData({form}).get('input.note')") == "soon"
    assert page.evaluate(f"new FormData({form}).get('input.where')") == "us"
    assert page.evaluate(f"document.activeElement.form === {form}")
    assert page.evaluate("document.activeElement.value") == "reject"


def test_a_page_that_cannot_be_asked_says_so_and_goes_on(page, host):
    page.open(f"{host.url}/secrets")
    page.call("Network.emulateNetworkConditions", offline=True, latency=0,
              downloadThroughput=0, uploadThroughput=0)  # fmt: skip
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.until("document.getElementById('offline') !== null")
    page.call("Network.emulateNetworkConditions", offline=False, latency=0,
              downloadThroughput=-1, uploadThroughput=-1)  # fmt: skip
    page.until("document.getElementById('offline') === null")
    page.complaints.clear()


def test_a_time_says_of_which_zone_it_is(page, host):
    host.do(scheduled(host.world))
    page.call("Emulation.setTimezoneOverride", timezoneId="Asia/Tokyo")
    page.open(f"{host.url}/schedules")
    shown = "document.querySelector('time[data-local]').textContent"
    assert page.evaluate(shown).endswith("GMT+9")


COUNTED = """
window.answered = 0;
const asked = window.fetch;
window.fetch = async (...words) => {
  const answer = await asked(...words), text = await answer.text();
  setTimeout(() => { window.answered += 1; });
  return { ok: answer.ok, redirected: answer.redirected, text: async () => text };
};
true
"""


def test_a_button_that_is_pressed_while_the_page_moves_does_what_it_says(page, host):
    host.do(waiting_run(host.world, 1, terms=GateTerms()))
    page.open(f"{host.url}/inbox")
    page.evaluate(COUNTED)
    button = "document.querySelector('button[value=reject]').getBoundingClientRect()"
    x, y = page.evaluate(f"(r => [r.x + 9, r.y + 9])({button})")
    at = {"x": x, "y": y, "button": "left", "clickCount": 1}
    page.call("Input.dispatchMouseEvent", type="mousePressed", **at)
    host.do(waiting_run(host.world, 2, terms=GateTerms()))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.until("window.answered > 0")
    assert page.evaluate("document.querySelectorAll('.gate').length") == 1
    page.call("Input.dispatchMouseEvent", type="mouseReleased", **at)
    page.until("location.search.startsWith('?answered=1-00000000000000000001')")
