"""A run's page in a real browser: its tabs, with scripts and without, and what stays where it was.

One browser and one host for all of it; each test looks at a Run of its own shape.
"""

import pytest

from pipelines.job import Artifact
from tests.web import shapes
from tests.web.browser import CHROMIUM, browser
from tests.web.served import served_world
from tests.web.world import SECRETS

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.slow,
    pytest.mark.xdist_group("run-page"),
]


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with served_world(tmp_path_factory.mktemp("run-page")) as host:
        yield host


@pytest.fixture(scope="module")
def runs(host):
    """The Runs by their shapes."""
    made = {
        "broken": shapes.release(host.world, 1, breaks=True),
        "chain": shapes.chain(host.world, 2),
        "wide": shapes.wide(host.world, 500, 3),
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
    page.back()
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


def rows(page) -> int:
    return page.evaluate("document.querySelectorAll('.chart [data-row]').length")


def test_the_timeline_zooms_with_keys_in_place_and_back_zooms_out(page, host, runs):
    page.open(f"{host.url}/runs/{runs['broken'].run}")
    page.evaluate("window.same = true")
    whole = rows(page)
    page.key("+", 187)
    page.until(
        "location.search.includes('from=') && document.querySelector('[data-key=\"0\"]') !== null"
    )
    assert 0 < rows(page) < whole
    page.key("0", 48)
    page.until(f"document.querySelectorAll('.chart [data-row]').length === {whole}")
    page.back()
    page.until(f"document.querySelectorAll('.chart [data-row]').length < {whole}")
    assert page.evaluate("window.same")


def test_a_row_that_has_the_focus_says_what_it_did_and_z_zooms_to_it(page, host, runs):
    page.open(f"{host.url}/runs/{runs['broken'].run}")
    for _ in range(6):
        page.key("j", 74)
    page.key("k", 75)
    said = "document.activeElement.closest('[data-row]').querySelector('.detail')"
    assert page.evaluate(f"{said}.textContent").startswith("test/python=3.12,os=debian")
    assert page.evaluate(f"getComputedStyle({said}).opacity") == "1"
    page.key("z", 90)
    page.until("location.search.includes('to=')")


def test_n_goes_to_what_failed_and_the_list_of_keys_is_behind_a_question_mark(page, host, runs):
    page.open(f"{host.url}/runs/{runs['broken'].run}")
    page.key("n", 78)
    assert page.evaluate("document.activeElement.textContent") == "deploy"
    assert page.evaluate("document.activeElement.closest('.step').className").count("s-failed")
    page.key("?", 191)
    assert page.evaluate("document.querySelector('#keys').matches(':popover-open')")
    page.key("Escape", 27)
    page.key("3", 51)
    page.until("document.querySelector('#tab-tests[aria-current]') !== null")


def test_five_hundred_steps_are_a_few_rows_and_all_of_them_on_request(page, host, runs):
    page.open(f"{host.url}/runs/{runs['wide'].run}")
    assert rows(page) <= 8
    assert page.evaluate("document.querySelector('.row.broken').textContent").count("shard-124")
    page.evaluate("document.querySelector('.row.group a').click()")
    page.until("document.querySelectorAll('.chart [data-row]').length > 249")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("tab", ["timeline", "graph", "tests", "artifacts", "history"])
def test_on_a_phone_no_tab_is_wider_than_the_screen(page, host, runs, tab):
    page.look(width=390, height=844, dark=True)
    for name in ("broken", "wide"):
        page.open(f"{host.url}/runs/{runs[name].run}?tab={tab}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_graph_is_reached_by_keys_and_a_box_of_many_opens_in_place(page, host, runs):
    page.open(f"{host.url}/runs/{runs['wide'].run}?tab=graph")
    page.evaluate("window.same = true")
    boxes = "document.querySelectorAll('.graph [data-at]').length"
    assert page.evaluate(boxes) == 4
    for _ in range(3):
        page.key("j", 74)
    assert page.evaluate("document.activeElement.querySelector('title').textContent").startswith(
        "shard-*/test: 248 succeeded, 1 failed"
    )
    page.evaluate("document.activeElement.dispatchEvent(new MouseEvent('click', {bubbles: true,"
                  " cancelable: true}))")  # fmt: skip
    page.until(f"{boxes} === 252")
    assert page.evaluate("window.same && location.search.includes('open=shard')")


def test_keys_step_through_the_turns_in_place_and_an_address_names_one(page, host, runs):
    page.open(f"{host.url}/runs/{runs['wide'].run}?tab=history&turn=70")
    page.evaluate("window.same = true")
    title = "document.querySelector('#turn-title').textContent"
    assert page.evaluate(title) == "Turn 70 of 501"
    in_list = "(one => one.offsetTop - one.parentElement.offsetTop - one.parentElement.scrollTop)"
    there = page.evaluate(f"{in_list}(document.querySelector('.turn.chosen'))")
    assert 0 <= there < page.evaluate("document.querySelector('#turns').clientHeight")
    page.key("]", 221)
    page.until(f"{title} === 'Turn 71 of 501'")
    page.key("[", 219)
    page.until(f"{title} === 'Turn 70 of 501'")
    page.back()
    page.until(f"{title} === 'Turn 71 of 501'")
    page.key("5", 53)
    page.until(f"{title} === 'Turn 501 of 501'")
    assert page.evaluate("window.same")
