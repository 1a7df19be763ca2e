"""The log viewer in a real browser: any length, where it opens, its address, its search."""

import re

import pytest

from pipelines.job import Outcome
from tests.web.browser import CHROMIUM, browser
from tests.web.served import served_world
from tests.web.told_runs import failed_run, running_run
from tests.web.world import SECRETS, Story, job

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.slow,
    pytest.mark.xdist_group("log-viewer"),
]

LONG = 1_000_000
CHUNK_LINES = 4_000
BOX = "document.querySelector('#log-lines')"
AT_END = f"(b => b.scrollTop + b.clientHeight >= b.scrollHeight - 9)({BOX})"


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with served_world(tmp_path_factory.mktemp("log-viewer")) as host:
        yield host


@pytest.fixture(scope="module")
def chromium(tmp_path_factory, host):
    with browser(tmp_path_factory.mktemp("chromium") / "profile") as page:
        yield page


@pytest.fixture
def page(chromium, host):
    chromium.look()
    chromium.complaints.clear()
    chromium.set_cookie(host.url, "staunch_token", SECRETS["grace"])
    yield chromium
    assert chromium.complaints == []


@pytest.fixture(scope="module")
def long_run(host):
    """A million lines, of which one says why the job failed."""
    story, offset = Story(host.world, 7), 0
    host.do(story.begin())
    host.do(story.turn(job("unit")))
    unit = story.claim("unit").job_id("unit")
    offset = host.world.write_log(unit, "=== make test\n")
    for first in range(2, LONG, CHUNK_LINES):
        lines = (said(n) for n in range(first, min(first + CHUNK_LINES, LONG)))
        offset = host.world.write_log(unit, "".join(lines), offset=offset)
    end = "=== make test: exit code 2 (61.0 s)\n"
    offset = host.world.write_log(unit, end, offset=offset)
    host.do(story.finish("unit", Outcome.FAILED, log_bytes=offset))
    return story


def said(number: int) -> str:
    broken = "src/cart.c:12:5: error: it is not 4" if number == LONG - 1_000 else "and all is well"
    return f"\x1b[3{number % 8}mline {number}\x1b[0m of many, {broken}\n"


async def as_coroutine(act):
    return act()


def fresh(page, url: str) -> None:
    """Go there, also if it differs from where the page is only behind the `#`."""
    page.open("about:blank")
    page.open(url)


def in_sight(page, number: int) -> bool:
    """Wait until a line is in the box, where it can be read."""
    return page.until(
        f"(r => r && r.top >= {BOX}.getBoundingClientRect().top &&"
        f" r.bottom <= {BOX}.getBoundingClientRect().bottom)"
        f"(document.querySelector('#L{number}:not(.missing)')?.getBoundingClientRect())"
    )


def test_a_million_lines_open_at_the_one_that_failed_and_few_are_on_the_page(page, host, long_run):
    fresh(page, f"{host.url}/runs/{long_run.run}")
    in_sight(page, LONG - 1_000)
    assert page.evaluate("document.querySelector('.line.failing .text').textContent") == (
        f"line {LONG - 1_000} of many, src/cart.c:12:5: error: it is not 4"
    )
    assert page.evaluate("document.querySelector('#log-foot').textContent").startswith("1,000,000 ")
    assert page.evaluate("document.querySelectorAll('.line').length") < 100
    assert page.evaluate("document.querySelector('.log-now').textContent") == "make test"


def test_any_of_a_million_lines_is_reached_by_address_wheel_keys_and_scrollbar(
    page, host, long_run
):
    fresh(page, f"{host.url}/runs/{long_run.run}#L500000")
    in_sight(page, 500_000)
    assert page.evaluate("document.querySelector('.line.chosen .text').textContent").startswith(
        "line 500000 of"
    )
    top = "Number(document.querySelector('#log-lines .line').id.slice(1))"
    before = page.evaluate(top)
    where = page.evaluate(
        f"({BOX}.scrollIntoView(), (r => [r.x + 50, r.y + 50])({BOX}.getBoundingClientRect()))"
    )
    page.call(
        "Input.dispatchMouseEvent", type="mouseWheel", x=where[0], y=where[1], deltaX=0, deltaY=200
    )
    page.until(f"{top} === {before + 10}")
    page.evaluate(f"{BOX}.focus(), true")
    page.key("ArrowDown", 40)
    page.until(f"{top} === {before + 12}")
    page.evaluate(f"{BOX}.scrollTop = 0, true")
    in_sight(page, 1)
    page.evaluate(f"{BOX}.scrollTop = {BOX}.scrollHeight, true")
    in_sight(page, LONG)


def test_the_server_searches_a_million_lines_and_counts_them_all(page, host, long_run):
    fresh(page, f"{host.url}/runs/{long_run.run}#L400000")
    in_sight(page, 400_000)
    page.key("/", 191)
    page.evaluate("document.getElementById('log-search').focus(), true")
    page.call("Input.insertText", text="LINE 77777")
    page.until("document.getElementById('log-found').textContent === '2 of 11'")
    in_sight(page, 777_770)
    page.key("Enter", 13)
    in_sight(page, 777_771)
    page.evaluate("document.querySelector('[data-step=\"-1\"]').click(), true")
    page.evaluate("document.querySelector('[data-step=\"-1\"]').click(), true")
    in_sight(page, 77_777)
    assert page.evaluate("CSS.highlights.get('log-found').size") == 1
    page.evaluate("document.getElementById('log-search').select(), true")
    page.call("Input.insertText", text="no such text")
    page.until("document.getElementById('log-found').textContent === 'not found'")


def test_a_number_is_a_link_that_names_job_attempt_and_lines(page, host, long_run):
    fresh(page, f"{host.url}/runs/{long_run.run}")
    page.until("document.querySelector('#L999010 .nr') !== null")
    page.evaluate("document.querySelector('#L999005 .nr').click(), true")
    click = "new MouseEvent('click', { bubbles: true, cancelable: true, shiftKey: true })"
    page.evaluate(f"document.querySelector('#L999007 .nr').dispatchEvent({click}), true")
    wanted = f"/runs/{long_run.run}?job=unit&attempt=1#unit/L999005-L999007"
    page.until(f"location.pathname + location.search + location.hash === '{wanted}'")
    page.until("document.querySelectorAll('.line.chosen').length === 3")
    fresh(page, host.url + wanted)
    in_sight(page, 999_005)
    page.until("document.querySelectorAll('.line.chosen').length === 3")


def test_an_address_names_a_job_that_the_page_would_not_show_by_itself(page, host):
    story = host.do(failed_run(host.world, 8))
    host.do(story.turn(job("eu/more")))
    host.world.write_log(story.job_id("eu/more"), "first\nsecond\n")
    fresh(page, f"{host.url}/runs/{story.run}#eu/more/L2")
    page.until("document.querySelector('.line.chosen .text')?.textContent === 'second'")
    assert page.evaluate("document.querySelector('#part-log').dataset.key") == "eu/more"


def test_the_log_follows_only_while_the_reader_is_at_its_end(page, host):
    story = host.do(running_run(host.world, 9))
    unit, write = story.job_id("eu/unit"), host.world.write_log
    many = "".join(f"line {n}\n" for n in range(200))
    host.do(as_coroutine(lambda: write(unit, many, offset=1_000)))
    fresh(page, f"{host.url}/runs/{story.run}")
    page.until(f"document.querySelector('#L202:not(.missing)') !== null && {AT_END}")
    host.do(as_coroutine(lambda: write(unit, many, offset=5_000)))
    page.until(f"document.querySelector('#L402:not(.missing)') !== null && {AT_END}")
    page.evaluate(f"{BOX}.scrollTop = 100, true")
    page.until("document.querySelector('#log-foot button')?.textContent === 'Follow'")
    host.do(as_coroutine(lambda: write(unit, many + "half a", offset=9_000)))
    page.until("document.querySelector('#log-foot').textContent.startsWith('603 lines · live')")
    assert page.evaluate(f"{BOX}.scrollTop") == 100
    page.evaluate("document.querySelector('#log-foot button').click(), true")
    page.until(f"document.querySelector('#L603 .text')?.textContent === 'half a' && {AT_END}")
    host.do(as_coroutine(lambda: write(unit, " line\n", offset=13_000)))
    page.until("document.querySelector('#L603 .text')?.textContent === 'half a line'")


def test_steps_and_groups_fold_and_unfold_with_the_keyboard(page, host):
    log = "=== make\none\n::group::more\ntwo\nthree\n::endgroup::\nfour\n"
    end = "=== make: exit code 0 (1.0 s)\nlast\n"
    story = host.do(failed_run(host.world, 10, log=log + end))
    fresh(page, f"{host.url}/runs/{story.run}")
    texts = "[...document.querySelectorAll('.line .text')].map(one => one.textContent).join('|')"
    page.until(f"{texts}.includes('last')")
    assert page.evaluate(texts).startswith("make✓ 1.0 s|one|more|two|three|::endgroup::|four|")
    page.evaluate("document.querySelector('#L3 .fold').focus(), true")
    page.key("Enter", 13)
    page.until(f"{texts}.startsWith('make✓ 1.0 s|one|more|four|')")
    assert page.evaluate("document.querySelector('#L3 .fold').ariaExpanded") == "false"
    page.evaluate("document.querySelector('#L1 .fold').click(), true")
    page.until(f"{texts} === 'make✓ 1.0 s|last'")
    page.evaluate("location.hash = '#L5', true")
    page.until("document.querySelector('#L5.chosen') !== null")
    assert re.search("two.three", page.evaluate(texts))


def test_the_attempts_of_a_job_are_one_click_apart(page, host):
    story = host.do(failed_run(host.world, 11, log="the first\n"))
    host.do(story.turn(job("unit", attempt=2)))
    host.world.write_log(story.job_id("unit", 2), "the second\n")
    fresh(page, f"{host.url}/runs/{story.run}?job=unit")
    first_line = "document.querySelector('.line .text')?.textContent"
    page.until(f"{first_line} === 'the second'")
    page.evaluate("document.querySelector('nav[aria-label=\"Attempts of unit\"] a').click(), true")
    page.until(f"{first_line} === 'the first'")
    assert page.evaluate("location.search") == "?job=unit&attempt=1"
