"""Pages hold against other sites, and against text that means ill."""

import re

import pytest

from pipelines.commands import GateTerms
from pipelines.events import CancelRequested, GateAnswered
from pipelines.job import Annotation
from tests.web.schedules import scheduled
from tests.web.told_runs import TERMS, failed_run, waiting_run
from tests.web.visitor import GIVEN, check, client_of, newest_input
from tests.web.world import SECRETS, World

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": None, "origin": "https://evil.test"},
        {"sec-fetch-site": None, "origin": "null"},
        {"sec-fetch-site": None},
    ],
)
@pytest.mark.parametrize("act", ["gates", "cancel", "pause", "resume", "kill", "again"])
async def test_a_form_of_another_site_does_nothing(world, headers, act):
    story = await waiting_run(world)
    sent = {name: value for name, value in headers.items() if value}
    async with client_of(world, "grace") as client:
        answer = await client.post(f"/runs/{story.run}/{act}", data=GIVEN, headers=sent)
    assert answer.status_code == 403
    assert not isinstance(await newest_input(world, story), GateAnswered | CancelRequested)


async def test_a_login_from_another_site_is_refused(world):
    form = {"token": SECRETS["ada"]}
    answer = await check(
        world, "/login", who="", data=form, headers={"sec-fetch-site": "cross-site"}
    )
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


async def test_a_form_that_is_too_large_is_refused(world):
    story = await waiting_run(world)
    form = {**GIVEN, "comment": "x" * 70_000}
    answer = await check(world, f"/runs/{story.run}/gates", who="grace", data=form)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path", ["/", "/login", "/deliveries", "/schedules", "/nothing", "/static/live.js"]
)
async def test_every_answer_carries_the_security_headers(world, path):
    headers = (await check(world, path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


async def test_pages_have_no_inline_scripts_and_no_inline_styles(world):
    await waiting_run(world, 1)
    await failed_run(world, 2)
    await scheduled(world)
    for path in ("/", "/login", "/deliveries", "/schedules", "/docs/api",
                 "/runs/1-00000000000000000001", "/runs/1-00000000000000000002"):  # fmt: skip
        text = (await check(world, path, who="grace")).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"<style|\sstyle=|\son\w+=", text)


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7*7 }}{% raw %}",
    "</pre></title></textarea><svg onload=alert(1)>",
)


@pytest.mark.parametrize("evil", HOSTILE)
async def test_text_from_outside_stays_text(world, evil):
    terms = GateTerms(approvers=[evil], inputs={evil: "str"}, message=evil)
    assert terms != TERMS
    note = Annotation(file=evil, line=1, message=evil, level=evil)
    story = await failed_run(
        world, log=f"=== {evil}\n{evil}\n", annotations=[note], message=evil,
        ref=f"refs/heads/{evil}", sender=evil,
    )  # fmt: skip
    world.delivered(evil, reason=evil)
    await scheduled(world, name=evil)
    for path in ("/", f"/runs/{story.run}", f"/runs/{story.run}/fragment", "/deliveries",
                 "/schedules"):  # fmt: skip
        text = (await check(world, path)).text
        for tag in ("<script>", "<img", "<svg onload", "</textarea"):
            assert tag not in text
        assert not re.search(r"""\s(onerror|onmouseover|onload)=["'a]""", unquoted(text))
        assert not re.search(r'href="\s*javascript:', text)
        assert ">49" not in text


def unquoted(text: str) -> str:
    """The markup without what stands in attributes: there, anything is text."""
    return re.sub(r'"[^"]*"', '""', re.sub(r">[^<]*<", "><", text))


@pytest.mark.parametrize(
    "clone_url",
    ["javascript:alert(1)//x.git", "https://user:pass@forge.test/me/shop.git", "/srv/shop.git"],
)
async def test_no_link_is_made_of_a_clone_url_but_its_host_and_path(tmp_path, clone_url):
    world = World(tmp_path, clone_url=clone_url)
    story = await failed_run(world)
    text = (await check(world, f"/runs/{story.run}")).text
    assert "pass" not in text and "javascript:" not in text and "/srv/shop" not in text
    world.model.close()
