"""A run's page in a real browser: its tabs, with scripts and without, and what stays where it was.

One browser and one host for all of it; each test looks at a Run of its own shape.
"""

import pytest

from pipelines.job import Artifact
from tests.web import shapes
from tests.web.browser import CHROMIUM, browser
from tests.web.served import served
from tests.web.world import SECRETS, World

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.slow,
    pytest.mark.xdist_group("run-page"),
]


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("run-page"))
    with served(world) as host:
        yield host
    world.model.close()


@pytest.fixture(scope="module")
def runs(host):
    """The Runs by their shapes."""
    made = {
        "broken": shapes.release(host.world, 1, breaks=True),
        "chain": shapes.chain(host.world, 2),
    }
    return {name: host.do(story) for name, story in made.items()}


@pytest.fixture(scope="module")
def opened(tmp_path_factory, host):
    with browser(tmp_path_factory.mktemp("browser") / "profile") as page:
        page.set_cookie(host.url, "staunch_token", SECRETS["grace"])
        yield page


@pytest.fixture
def page(opened):
    opened.look()
    opened.call("Emulation.setScriptExecutionDisabled", value=False)
    yield opened
    complaints, opened.complaints[:] = list(opened.complaints), []
    assert complaints == []


def tab(page) -> str:
    return page.evaluate("document.querySelector('.tab-bar [aria-current]').textContent.trim()")


def test_a_tab_is_swapped_in_place_and_back_returns_to_the_one_before(page, host, runs):
    page.open(f"{host.url}/runs/{runs['chain'].run}")
    page.evaluate("window.same = true")
    assert tab(page) == "Timeline"
    page.evaluate("document.querySelector('#tab-artifacts').focus()")
    page.evaluate("document.querySelector('#tab-artifacts').click()")
    page.until("document.querySelector('#tab-artifacts[aria-current]') !== null")
    assert page.evaluate("location.search") == "?tab=artifacts"
    assert page.evaluate("document.activeElement.id") == "tab-artifacts"
    page.evaluate("history.back(), true")
    page.until("document.querySelector('#tab-timeline[aria-current]') !== null")
    assert page.evaluate("window.same")


def test_the_tab_that_is_shown_moves_without_a_reload(page, host):
    story = host.do(shapes.chain(host.world, 20))
    page.open(f"{host.url}/runs/{story.run}?tab=artifacts")
    page.evaluate("window.same = true")
    kept = Artifact(name="dist", digest="d" * 64, size=5_000_000, files=3)
    host.do(story.finish("publish", artifacts=[kept]))
    page.until("document.querySelector('#part-tab').textContent.includes('dist.tar')")
    assert page.evaluate("window.same") and tab(page).startswith("Artifacts")


def test_every_tab_is_there_for_a_reader_without_scripts(page, host, runs):
    page.without_scripts()
    page.open(f"{host.url}/runs/{runs['broken'].run}")
    for name in page.evaluate("[...document.querySelectorAll('.tab-bar a')].map(a => a.id)"):
        page.open(page.evaluate(f"document.getElementById('{name}').href"))
        assert page.evaluate("document.querySelector('.tab-bar [aria-current]').id") == name
        assert page.evaluate("document.querySelector('#part-tab').innerText.length > 60"), name
    card = page.evaluate("document.querySelector('.failure').innerText")
    for said in (".staunch/pipeline.py:24", "deploy/web.py:88", "pod web-59 is not ready"):
        assert said in card


def test_a_logs_address_keeps_the_tab_and_a_tabs_address_the_log(page, host, runs):
    page.open(f"{host.url}/runs/{runs['broken'].run}?job=image&tab=tests")
    link = "document.querySelector('.steps a[href*=\"job=lint\"]')"
    assert page.evaluate(f"{link}.getAttribute('href')") == "?job=lint&tab=tests#log"
    there = page.evaluate("document.querySelector('#tab-timeline').getAttribute('href')")
    assert there == "?job=image&tab=timeline"
