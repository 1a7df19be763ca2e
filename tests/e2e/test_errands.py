"""What people come for, with a real mouse and counted clicks; and all of it with keys alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines import manifest
from pipelines.commands import GateTerms
from pipelines.events import GateAnswered, RunStarted
from pipelines.ids import RunId
from tests.web.browser import CHROMIUM, browser
from tests.web.errands import ERRANDS, prepared, table
from tests.web.hand import Hand
from tests.web.served import served_world
from tests.web.told_runs import waiting_run
from tests.web.world import SECRETS

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.slow,
    pytest.mark.xdist_group("errands"),
]

GUIDE = Path(__file__).resolve().parents[2] / "docs/guide/pages.md"


class KeptBlobs:
    """One empty tree, for whatever is asked."""

    async def get(self, _digest: str, _shelf: str) -> bytes:
        return manifest.encode(manifest.manifest_of([manifest.Folder(path="a")]))


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with served_world(tmp_path_factory.mktemp("errands")) as host:
        world = host.world
        world.app.state.services = replace(world.services, blobs=KeptBlobs())
        yield host


@pytest.fixture(scope="module")
def named(host):
    return prepared(host)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    with browser(folder / "profile") as page:
        page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        yield page


@pytest.fixture
def page(opened):
    opened.look()
    opened.complaints.clear()
    opened.downloads.clear()
    return opened


def led_to(host, page, errand, named):
    """Whether what was done on the page was done in earnest."""
    if errand.led_to == "rerun":
        run = RunId(page.until("location.pathname").rpartition("/")[2])
        started = host.do(host.world.history.started(run))
        again = started.rerun if isinstance(started, RunStarted) else None
        return again is not None and again.of == named[errand.run]
    if errand.led_to == "rung":
        return bool(host.world.timetables.rings.owed)
    if errand.led_to == "replayed":
        return any(id_.startswith("replay-") for _, id_ in host.world.inbox.kept)
    return type(newest_input(host, named[errand.run])).__struct_config__.tag == errand.led_to


@pytest.mark.parametrize("errand", ERRANDS, ids=lambda one: f"{one.what} from {one.start}")
def test_an_errand_takes_as_many_clicks_as_the_guide_says(page, host, named, errand):
    page.set_cookie(host.url, "staunch_token", SECRETS[errand.who])
    page.open(host.url + errand.at.format(**named))
    hand = Hand(page)
    errand.go(hand)
    assert hand.clicks == errand.clicks
    while errand.led_to and not led_to(host, page, errand, named):
        page.wait_a_moment()
    assert page.complaints == []


def test_the_guide_prints_the_errands_as_they_are():
    assert table() in GUIDE.read_text()


def focused(page) -> str:
    """What has the focus, which must be seen."""
    style = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(
        f"{style} !== 'none' || document.activeElement.matches('#log, #main, body')"
    )
    return page.evaluate("document.activeElement.innerText ?? ''").strip()


def tab_to(page, words: str, at_most: int = 40) -> None:
    for _ in range(at_most):
        page.key("Tab", 9)
        if focused(page).startswith(words):
            return
    raise AssertionError(f"{words} was never reached")


def test_keys_alone_lead_from_the_list_to_the_failing_line_and_into_the_log(page, host, named):
    page.set_cookie(host.url, "staunch_token", SECRETS["grace"])
    page.open(f"{host.url}/?state=failed")
    page.key("Tab", 9)
    assert focused(page) == "Skip to content"
    page.key("Enter", 13)
    page.until("document.activeElement.id === 'main'")
    tab_to(page, "Ship the new cart")
    page.key("Enter", 13)
    page.until("document.querySelector('.line.failing') !== null")
    hand = Hand(page)
    assert hand.sees("pod web-59 is not ready")
    page.key("l", 76)
    page.until("document.activeElement.id === 'log-lines'")
    assert hand.sees("./deploy.sh us")
    page.key("Home", 36)
    page.until("document.querySelector('#L1:not(.missing)') !== null")
    tab_to(page, "To the failure")
    page.key("Enter", 13)
    page.until("document.querySelector('#L61.failing') !== null")
    assert page.complaints == []


def test_keys_alone_go_through_every_tab_from_step_to_step_and_turn_to_turn(page, host, named):
    page.set_cookie(host.url, "staunch_token", SECRETS["grace"])
    page.open(f"{host.url}/runs/{named['broken']}")
    page.evaluate("window.same = true")
    shown = "document.querySelector('.tab-bar [aria-current]')?.id"
    for number, name in enumerate(("graph", "tests", "artifacts", "history"), 2):
        page.key(str(number), 48 + number)
        page.until(f"{shown} === 'tab-{name}'")
    title = "document.querySelector('#turn-title')?.textContent"
    page.until(f"{title} === 'Turn 16 of 16'")
    page.key("[", 219)
    page.until(f"{title} === 'Turn 15 of 16'")
    for _ in range(3):
        page.key("k", 75)
    page.key("Enter", 13)
    page.until(f"{title} === 'Turn 14 of 16'")
    page.key("2", 50)
    page.until(f"{shown} === 'tab-graph'")
    page.key("j", 74)
    assert page.evaluate("document.activeElement.closest('#graph') !== null")
    page.key("1", 49)
    page.until(f"{shown} === 'tab-timeline'")
    page.key("+", 187)
    page.until("document.querySelector('[data-key=\"0\"]') !== null")
    page.key("0", 48)
    page.until("document.querySelector('[data-key=\"0\"]') === null")
    page.key("j", 74)
    page.key("j", 74)
    assert focused(page) == "lint"
    page.key("Enter", 13)
    page.until("document.querySelector('#part-log').dataset.key === 'lint'")
    page.key("n", 78)
    assert focused(page) == "deploy"
    page.key("Enter", 13)
    page.until("document.querySelector('#part-log').dataset.key === 'us/deploy'")
    page.key("?", 191)
    page.until("document.querySelector('#keys').matches(':popover-open')")
    page.key("Escape", 27)
    page.until("!document.querySelector('#keys').matches(':popover-open')")
    assert page.evaluate("window.same") and page.complaints == []


def test_keys_alone_answer_a_gate_from_the_inbox(page, host, named):
    page.set_cookie(host.url, "staunch_token", SECRETS["grace"])
    terms = GateTerms(approvers=["@ops"])
    story = host.do(waiting_run(host.world, 41, terms=terms, message="With keys"))
    page.open(f"{host.url}/")
    tab_to(page, "Inbox")
    page.key("Enter", 13)
    page.until("location.pathname === '/inbox' && document.readyState === 'complete'")
    tab_to(page, "With keys")
    tab_to(page, "Reject")
    page.key("Enter", 13)
    while not isinstance(given := newest_input(host, story.run), GateAnswered):
        page.wait_a_moment()
    assert (given.by, given.approved) == ("grace", False)


def newest_input(host, run):
    return host.do(host.world.history.inputs_after(RunId(run), 0))[-1].input
