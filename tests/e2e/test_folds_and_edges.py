"""What does not fit, in a real browser: many steps that are alike, tables that scroll, paper, and a
log of nothing."""

import re

import pytest

from ci_host.web.words import step_anchor
from tests.web import shapes
from tests.web.browser import CHROMIUM, logged_in
from tests.web.hand import Hand
from tests.web.served import served_world
from tests.web.world import SECRETS, Story, job

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.slow,
    pytest.mark.xdist_group("folds-and-edges"),
]

MANY = "document.querySelector('#part-steps .many')"
SHARD = step_anchor("shard-003/build")
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with served_world(tmp_path_factory.mktemp("folds")) as host:
        yield host


@pytest.fixture(scope="module")
def wide(host):
    return f"{host.url}/runs/{host.do(shapes.wide(host.world, 60, 1)).run}"


@pytest.fixture
def page(tmp_path, host):
    with logged_in(tmp_path / "profile", host.url, SECRETS["ada"]) as page:
        yield page


def is_seen(anchor: str) -> str:
    return f"document.getElementById('{anchor}').checkVisibility()"


def test_shards_are_folded_but_those_that_failed(page, wide):
    page.open(wide)
    assert page.evaluate(f"{MANY}.open") is False
    assert not page.evaluate(is_seen(SHARD))
    assert page.evaluate(is_seen(step_anchor("shard-014/test")))
    Hand(page).click("Succeeded shard-* 28 succeeded", "#part-steps")
    assert page.evaluate(is_seen(SHARD))


def test_a_link_to_a_step_that_is_folded_opens_it(page, wide):
    page.open(f"{wide}#{SHARD}")
    page.until(is_seen(SHARD))
    page.open(wide)
    page.evaluate(f"location.hash = '{SHARD}', true")
    page.until(is_seen(SHARD))
    page.open(f"{wide}?job=shard-003/build")
    assert page.evaluate(is_seen(SHARD))


def test_keys_stop_at_the_heading_and_go_on_behind_it(page, wide):
    page.open(f"{wide}?tab=tests")
    said = []
    for _ in range(4):
        page.key("j", 74)
        said.append(page.evaluate("document.activeElement.textContent.trim()"))
    assert [one.split()[-1] for one in said] == ["plan", "succeeded", "build", "test"]
    page.key("k", 75)
    page.key("k", 75)
    assert page.evaluate(f"{MANY}.open") is False
    page.key("Enter", 13)
    page.until(f"{MANY}.open")
    page.key("j", 74)
    assert page.evaluate(f"{MANY}.contains(document.activeElement)")


def test_what_a_reader_folds_stays_while_the_page_moves(page, host):
    story = host.do(_shards(host.world))
    page.open(f"{host.url}/runs/{story.run}")
    Hand(page).click("Queued unit-* 20 queued", "#part-steps")
    host.do(_claimed(story))
    page.until(f"{MANY}.textContent.includes('1 running')")
    assert page.evaluate(f"{MANY}.open")


async def _shards(world) -> Story:
    story = await Story(world, 2).begin()
    keys = [f"unit-{n}" for n in range(20)]
    return await story.turn(*(job(key) for key in keys), wanted=shapes.wanting(*keys))


async def _claimed(story: Story) -> None:
    story.claim("unit-4")


def test_without_scripts_it_opens_all_the_same(page, wide):
    page.without_scripts()
    page.open(wide)
    Hand(page).click("Succeeded shard-* 28 succeeded", "#part-steps")
    page.until(is_seen(SHARD))


def strip(page, *, right: bool) -> str:
    """A piece of the edge of the table, where no text is, as a picture."""
    box = page.evaluate(
        "(() => { const r = document.querySelector('.scroll').getBoundingClientRect();"
        " return [r.left, r.right, r.bottom]; })()"
    )
    x = box[1] - 6 if right else box[0] + 2
    clip = {"x": x, "y": box[2] - 12, "width": 4, "height": 1, "scale": 1}
    return page.call("Page.captureScreenshot", clip=clip)["data"]


@pytest.mark.parametrize("dark", [False, True])
def test_a_table_shows_at_which_edge_there_is_more(page, host, dark):
    host.world.delivered("d-1", reason="no pipeline runs on push of refs/heads/side")
    page.look(**PHONE, dark=dark)
    page.open(f"{host.url}/deliveries")
    first = [strip(page, right=False), strip(page, right=True)]
    assert first[0] != first[1], "there is more on the right"
    page.evaluate("document.querySelector('.scroll').scrollLeft = 10_000, true")
    page.until("document.querySelector('.scroll').scrollLeft > 0")
    last = [strip(page, right=False), strip(page, right=True)]
    assert last[1] == first[0], "there is no more on the right"
    assert last[0] != first[0], "there is more on the left"
    page.look(width=1280, dark=dark)
    assert strip(page, right=False) == strip(page, right=True) == first[0]


def test_on_paper_is_what_happened_black_on_white_and_nothing_to_press(page, host):
    story = host.do(shapes.release(host.world, 3, breaks=True))
    page.look(dark=True)
    page.open(f"{host.url}/runs/{story.run}")
    page.until("document.querySelector('.line.failing') !== null")
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    page.call("Emulation.setEmulatedMedia", media="print", features=[dark])
    page.until("document.querySelectorAll('#log-lines .line:not(.missing)').length === 61")
    seen = "[...document.querySelectorAll({!r})].filter(one => one.checkVisibility()).length"
    for selector in (
        "nav a[href='/inbox']",
        "button:not(.fold)",
        "select",
        ".tab-bar",
        "#log-tools",
    ):
        assert page.evaluate(seen.format(selector)) == 0, selector
    for selector in (".failure", "#part-steps .step", "#log-lines .line"):
        assert page.evaluate(seen.format(selector)) > 0, selector
    colour = "getComputedStyle(document.querySelector({!r})).{}"
    assert page.evaluate(colour.format("body", "backgroundColor")) == "rgb(255, 255, 255)"
    assert page.evaluate(colour.format("#log-lines .text", "color")) == "rgb(0, 0, 0)"
    # Nothing is cut off: what scrolls on a screen is as high as what it holds.
    for selector in ("#part-steps", "#log-lines", ".failure .tail-box"):
        box = f"document.querySelector({selector!r})"
        assert page.evaluate(f"{box}.scrollHeight <= {box}.clientHeight + 1"), selector


def test_a_page_that_comes_up_on_paper_has_its_log(page, host):
    story = host.do(shapes.release(host.world, 7, breaks=True))
    page.call("Emulation.setEmulatedMedia", media="print")
    page.open(f"{host.url}/runs/{story.run}")
    page.until("document.querySelectorAll('#log-lines .line:not(.missing)').length === 61")


async def _quiet(world, number: int) -> Story:
    story = await Story(world, number).begin()
    await story.turn(job("quiet"), wanted=shapes.wanting("quiet"))
    return story.claim("quiet")


def test_a_log_of_nothing_is_said_to_be_none(page, host):
    story = host.do(_quiet(host.world, 4))
    foot = "document.getElementById('log-foot').textContent"
    page.open(f"{host.url}/runs/{story.run}")
    page.until(f"{foot} === 'It has printed nothing yet · live'")
    assert page.evaluate("document.getElementById('log-lines').checkVisibility()") is False
    host.do(_says(host.world, story, "=== make\nat last\n"))
    page.until(f"{foot}.startsWith('2 lines')")
    page.until("document.querySelectorAll('.line:not(.missing)').length === 2")
    other = host.do(_quiet(host.world, 5))
    host.do(other.finish("quiet"))
    page.open(f"{host.url}/runs/{other.run}")
    page.until(f"{foot}.startsWith('It printed nothing')")
    page.without_scripts()
    page.open(f"{host.url}/runs/{other.run}")
    assert re.fullmatch(r"It printed nothing\.", page.evaluate(foot))


async def _says(world, story: Story, text: str) -> None:
    world.write_log(story.job_id("quiet"), text)
