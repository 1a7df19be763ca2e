"""The pages in a real browser: what moves, what must not run, what stays where a reader put it."""

import pytest

from pipelines.commands import GateTerms, Result, StepKind
from pipelines.commands import StepState as Is
from pipelines.events import GateAnswered
from pipelines.failure import Failure
from pipelines.job import Annotation, Outcome
from pipelines.run import RunState
from pipelines.turn import End
from tests.web import shapes
from tests.web.browser import CHROMIUM, logged_in
from tests.web.served import served_world
from tests.web.told_runs import failed_run, running_run, waiting_run
from tests.web.trust import held_pull
from tests.web.world import SECRETS

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium"),
    pytest.mark.slow,
]

HOSTILE = (
    "<script>window.pwned = 1</script>\n"
    "<img src=x onerror='window.pwned = 1'>\n"
    "\x1b[31m<svg onload='window.pwned = 1'>\x1b[0m\n"
    '\x1b]8;;javascript:window.pwned=1\x07click"><script>window.pwned = 1</script>\x1b]8;;\x07\n'
    "=== <script>window.pwned = 1</script>\n"
)


@pytest.fixture
def host(tmp_path):
    with served_world(tmp_path) as host:
        yield host


@pytest.fixture
def page(tmp_path, host):
    with logged_in(tmp_path / "profile", host.url, SECRETS["grace"]) as page:
        yield page


def lines(page) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('.line .text')].map(l => l.textContent)")


async def fail(story) -> None:
    """The job breaks, and the Run with it."""
    await story.finish("eu/unit", Outcome.FAILED, message="exit 1")
    failure = Failure(type="JobFailed", message="it broke", step="eu/unit")
    await story.turn(
        results=[Result(kind=StepKind.JOB, key="eu/unit", state=Is.FAILED, error=failure)],
        end=End(state=RunState.FAILED, error=failure),
    )


def test_a_stranger_logs_in_and_arrives_where_they_wanted_to_go(page, host):
    story = host.do(running_run(host.world))
    page.call("Network.clearBrowserCookies")
    page.open(f"{host.url}/runs/{story.run}")
    assert page.evaluate("location.pathname") == "/login"
    assert page.evaluate("document.activeElement.id") == "token"
    page.call("Input.insertText", text=SECRETS["grace"])
    page.evaluate("document.querySelector('form.stack').requestSubmit()")
    page.until(f"location.pathname === '/runs/{story.run}'")
    assert page.evaluate("document.cookie") == ""


def test_a_link_on_another_site_does_not_look_like_a_logout(page, host):
    story = host.do(running_run(host.world))
    page.open(f"http://localhost:{host.port}/login")
    page.evaluate(f"location.href = '{host.url}/runs/{story.run}', true")
    page.until("document.getElementById('part-head') !== null")


def test_a_running_page_moves_without_a_reload(page, host):
    story = host.do(running_run(host.world))
    page.open(f"{host.url}/runs/{story.run}")
    page.evaluate("window.same = true")
    page.until("document.querySelectorAll('.line:not(.missing)').length === 2")
    assert page.evaluate("getComputedStyle(document.querySelector('.f2')).color !== ''")
    job = story.job_id("eu/unit")
    host.do(as_coroutine(lambda: host.world.write_log(job, "more\n", offset=500)))
    page.until("document.querySelector('#log-lines').textContent.includes('more')")
    assert lines(page) == ["make test", "green so far", "more"]
    assert page.evaluate("document.title").startswith("Running")
    host.do(fail(story))
    page.until("document.querySelector('.failure')?.textContent.includes('it broke')")
    page.until("document.querySelector('#log-foot').textContent.includes('exit code 1')")
    assert page.evaluate("document.title").startswith("Failed")
    assert page.evaluate("window.same")


async def as_coroutine(act):
    return act()


def test_the_list_moves_without_a_reload(page, host):
    story = host.do(running_run(host.world))
    page.open(f"{host.url}/")
    page.evaluate("window.same = true")
    host.do(waiting_run(host.world, 1))
    page.until("document.querySelectorAll('.run').length === 2")
    host.do(fail(story))
    page.until("document.querySelector('.run .s-failed') !== null")
    assert page.evaluate("window.same")


def test_nothing_in_a_log_a_title_or_a_note_ever_runs(page, host):
    evil = "<img src=x onerror='window.pwned = 1'>"
    note = Annotation(file=f"a/{evil}", line=1, message=evil)
    story = host.do(
        failed_run(host.world, log=HOSTILE, annotations=[note], message=evil,
                   ref=f"refs/heads/{evil}")
    )  # fmt: skip
    for path in ("/", f"/runs/{story.run}"):
        page.open(host.url + path)
    page.until("document.querySelectorAll('.line:not(.missing)').length === 5")
    assert page.evaluate("window.pwned === undefined")
    assert (
        page.evaluate("document.querySelectorAll('main img, main script, svg[onload]').length") == 0
    )
    assert lines(page)[0] == "<script>window.pwned = 1</script>"
    assert lines(page)[3] == 'click"><script>window.pwned = 1</script>'


@pytest.mark.parametrize(
    ("escape", "style"),
    [
        ("38;5;208", {"color": "rgb(255, 135, 0)"}),
        ("48;2;30;60;120", {"backgroundColor": "rgb(30, 60, 120)"}),
        ("1;3;4", {"fontWeight": "700", "fontStyle": "italic", "textDecorationLine": "underline"}),
        ("7;38;5;16;48;5;231", {"color": "rgb(255, 255, 255)", "backgroundColor": "rgb(0, 0, 0)"}),
        ("31;39;1;22;38;5", None),
    ],
)
def test_colours_of_a_log_are_shown_though_no_inline_style_is_allowed(page, host, escape, style):
    story = host.do(failed_run(host.world, log=f"\x1b[{escape}mtext\x1b[0m plain\nnext\n"))
    page.open(f"{host.url}/runs/{story.run}")
    page.until("document.querySelectorAll('.line:not(.missing)').length === 2")
    assert lines(page) == ["text plain", "next"]
    shown = page.evaluate("document.querySelector('.text span')?.className ?? null")
    for name, value in (style or {}).items():
        assert shown is not None
        there = f"getComputedStyle(document.querySelector('.text span')).{name}"
        assert page.evaluate(there) == value


def test_a_gate_is_opened_with_what_was_typed_though_the_page_moved_meanwhile(page, host):
    story = host.do(waiting_run(host.world))
    page.open(f"{host.url}/runs/{story.run}")
    page.evaluate("document.querySelector('[name=\"input.percent\"]').focus()")
    page.call("Input.insertText", text="25")
    host.do(as_coroutine(lambda: host.world.restarted("engine", host.world.clock())))
    host.do(as_coroutine(lambda: host.world.news.tell_folded(story.run)))
    page.until("document.querySelector('.mark-label') !== null")
    page.call("Input.insertText", text="0")
    page.evaluate("document.querySelector('[name=\"input.share\"]').value = '0.5'")
    page.evaluate("document.querySelector('[name=\"input.sure\"]').click()")
    page.evaluate("document.querySelector('button[value=approve]').click()")

    async def answered():
        newest = (await host.world.history.inputs_after(story.run, 0))[-1].input
        return newest if isinstance(newest, GateAnswered) else None

    page.until("performance.getEntriesByType('navigation')[0].name.includes('/runs/')")
    while (given := host.do(answered())) is None:
        page.evaluate("document.readyState")
    assert given.approved and given.by == "grace"
    assert given.inputs == {"percent": 250, "share": 0.5, "note": "", "sure": True}


def test_a_gate_is_answered_from_the_inbox_on_a_phone_and_the_count_goes(page, host):
    terms = GateTerms(approvers=["@ops"], inputs={"percent": "int"})
    story = host.do(waiting_run(host.world, terms=terms))
    page.look(width=390, height=844)
    page.open(f"{host.url}/")
    page.until("document.querySelector('a[data-inbox] .count')?.textContent === '1'")
    page.open(f"{host.url}/inbox")
    page.evaluate("document.querySelector('[name=\"input.percent\"]').focus()")
    page.call("Input.insertText", text="25")
    page.evaluate("window.old = true")
    page.evaluate("document.querySelector('button[value=approve]').click()")
    page.until("!window.old && location.pathname === '/inbox'")

    async def newest():
        return (await host.world.history.inputs_after(story.run, 0))[-1].input

    given = host.do(newest())
    assert isinstance(given, GateAnswered)
    assert (given.by, given.inputs) == ("grace", {"percent": 25})


def test_choosing_a_job_changes_the_address_and_back_returns(page, host):
    story = host.do(waiting_run(host.world))
    page.open(f"{host.url}/runs/{story.run}")
    page.evaluate("window.same = true")
    page.evaluate("document.querySelector('a[data-job-link]').click()")
    page.until("location.search === '?job=unit' && location.hash === '#log'")
    page.back()
    page.until("location.search === ''")
    assert page.evaluate("window.same")


def test_everything_can_be_read_without_scripts(page, host):
    story = host.do(failed_run(host.world, log="=== make test\n\x1b[31mFAIL\x1b[0m: it is not 4\n"))
    page.without_scripts()
    page.open(f"{host.url}/runs/{story.run}")
    assert page.evaluate("document.querySelector('#log-lines').innerText").count(
        "FAIL: it is not 4"
    )
    assert page.evaluate("document.querySelectorAll('.chart .bar').length") == 2
    assert page.evaluate("document.querySelector('.failure').innerText").count("JobFailed")


@pytest.mark.parametrize("dark", [False, True])
def test_no_page_is_wider_than_a_phone(page, host, dark):
    evil = "x" * 300
    failed = host.do(failed_run(host.world, ref=f"refs/heads/{evil}", message=evil, sender=evil))
    waiting = host.do(waiting_run(host.world, 1, message=evil))
    host.do(as_coroutine(lambda: host.world.delivered("d" * 200, reason=evil)))
    host.do(held_pull(host.world, title=evil))
    page.look(width=360, height=740, dark=dark)
    runs = [f"/runs/{one.run}" for one in (failed, waiting)]
    repos = ("/repos", "/repos/me/shop", f"/repos/me/shop?branch={evil}")
    for path in ("/", *runs, *repos, "/inbox", "/deliveries", "/trust", "/docs/api"):
        page.open(host.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_a_keyboard_reaches_the_content_first_and_shows_where_it_is(page, host):
    host.do(running_run(host.world))
    page.open(f"{host.url}/")
    page.key("Tab", 9)
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(30):
        page.key("Tab", 9)
        style = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(style) != "none", page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("document.activeElement.className") == "run-title":
            return
    raise AssertionError("the first run was never reached")


def test_the_step_whose_log_is_shown_is_in_sight_in_the_list_of_steps(page, host):
    story = host.do(shapes.release(host.world, 1, breaks=True))
    page.open(f"{host.url}/runs/{story.run}")
    page.until("""(() => {
      const list = document.getElementById("part-steps").getBoundingClientRect();
      const step = document.querySelector("#part-steps .step.s-failed").getBoundingClientRect();
      return list.top <= step.top && step.bottom <= list.bottom;
    })()""")
    page.evaluate("document.getElementById('part-steps').scrollTop = 0, true")
    page.evaluate("document.dispatchEvent(new Event('staunch:parts')), true")
    assert page.evaluate("document.getElementById('part-steps').scrollTop") == 0
