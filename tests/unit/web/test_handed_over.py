"""What jobs hand over for people: summaries, annotations, and what was left out."""

import re
from urllib.parse import quote

import pytest

from ci_host.web.markdown import RENDERED_CHARS_MAX, rendered
from pipelines.job import Annotation, Artifact, Outcome
from tests.web.visitor import check
from tests.web.world import Story, job

SUMMARY = """# Coverage

**92 %** of `src`, see [the report](https://example.org/r).

| file | lines |
| :-- | --: |
| a.py | 12 |

- one
- ~~two~~
"""


def test_a_summary_is_headings_lists_tables_and_links():
    html = rendered(SUMMARY)
    for part in (
        "<h3>Coverage</h3>",
        "<strong>92 %</strong>",
        "<code>src</code>",
        '<a href="https://example.org/r" rel="noopener noreferrer nofollow">the report</a>',
        "<td>12</td>",
        "<li>one</li>",
        "<s>two</s>",
    ):
        assert part in html


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](data:text/html,<script>1</script>)",
    "![x](https://evil.test/pixel.png)",
    '<https://evil.test/"onmouseover=alert(1)>',
    '[x](https://e.test/"onmouseover="alert(1))',
    "`</code><script>1</script>`",
    "<!-- --><svg/onload=alert(1)>",
    "[x]: javascript:alert(1)\n\n[x]",
    "|a|\n|:-:|\n|<iframe src=//e.test>|",
    "```<b>\n</code></pre><script>1</script>\n```",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_makes_an_element_an_attribute_or_an_address_that_we_do_not_know(text):
    html = rendered(text)
    for name, attributes in re.findall(r"<(\w+)([^>]*)>", html):
        assert name in {"p", "a", "code", "pre", "table", "thead", "tbody", "tr", "th", "td"}
        assert not attributes or re.fullmatch(
            r' href="https?://[^"<> ]*" rel="[a-z ]+"', attributes
        )


def test_what_is_too_long_to_be_rendered_is_shown_as_it_is():
    assert rendered("x" * RENDERED_CHARS_MAX) is not None
    assert rendered("x" * (RENDERED_CHARS_MAX + 1)) is None


@pytest.mark.anyio
async def test_the_page_shows_what_the_newest_attempts_handed_over(world):
    story = await Story(world, 9).begin()
    await story.turn(job("lint"), job("plain"), job("long"))
    await story.finish(
        "lint",
        summary=SUMMARY,
        annotations=[
            Annotation(file="a<b>.py", line=3, message="<i>odd</i>", level="notice", title="N1")
        ],
        left_out=["line 2 of the annotations: <b>"],
    )
    await story.finish("plain")
    await story.turn(job("shut"))
    await story.finish("shut", denied=["<b>.example:443: it is not on the list"])
    await story.finish("long", summary="<u>" * 20_000)
    page = (await check(world, f"/runs/{story.run}")).text
    assert "<h3>Coverage</h3>" in page
    assert 'class="note-notice"' in page and "<code>a&lt;b&gt;.py:3</code>" in page
    assert "<bdi>N1</bdi>" in page and "&lt;i&gt;odd&lt;/i&gt;" in page
    assert "Left out: <bdi>line 2 of the annotations: &lt;b&gt;</bdi>" in page
    assert "&lt;u&gt;&lt;u&gt;" in page and "<u>" not in page
    assert "Not reached: <bdi>&lt;b&gt;.example:443: it is not on the list</bdi>" in page
    assert page.count('class="handed card"') == 3


@pytest.mark.anyio
async def test_the_page_has_the_artifacts_to_download(world):
    story = await Story(world, 9).begin()
    await story.turn(job("build/a b"))
    dist = Artifact(name="dist", digest="d" * 64, size=5_000_000, files=3)
    one = Artifact(name="log", digest="e" * 64, size=12, files=1)
    await story.finish("build/a b", artifacts=[dist, one])
    bar = (await check(world, f"/runs/{story.run}")).text
    assert 'Artifacts <span class="tab-count">2</span>' in bar
    page = (await check(world, f"/runs/{story.run}?tab=artifacts")).text
    address = f"/api/v1/jobs/{quote(story.job_id('build/a b'))}/artifacts/dist/tar"
    assert f'<a href="{address}" download><bdi>dist</bdi>.tar</a>' in page
    assert "5.0 MB<" in page and ">3 files<" in page and "12 bytes<" in page and ">1 file<" in page


@pytest.mark.anyio
async def test_the_api_has_them_with_the_attempt(world):
    story = await Story(world, 9).begin()
    await story.turn(job("lint"))
    note = Annotation(file="a.py", line=3, message="odd", title="N1")
    await story.finish(
        "lint",
        Outcome.FAILED,
        summary="# Hi",
        annotations=[note],
        left_out=["the rest"],
        denied=["evil.example:443: no"],
    )
    shown = (await check(world, f"/api/v1/runs/{story.run}")).json()
    [attempt] = shown["attempts"]
    assert (attempt["summary"], attempt["left_out"]) == ("# Hi", ["the rest"])
    assert attempt["denied"] == ["evil.example:443: no"]
    assert attempt["annotations"] == [
        {"file": "a.py", "line": 3, "message": "odd", "level": "error", "title": "N1"}
    ]
