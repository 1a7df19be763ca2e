"""Why a run failed, as one answer of the API, and as `staunch why` says it."""

import pytest

from ci_host.cli.why import lines_of
from pipelines.job import Annotation
from tests.web.told_runs import failed_run, running_run
from tests.web.visitor import check, client_of

pytestmark = pytest.mark.anyio

LOG = "".join(f"line {number}\n" for number in range(1, 41)) + "\x1b[31mFAIL: it is not 4\x1b[0m\n"


async def failure_of(world, story):
    return (await check(world, f"/api/v1/runs/{story.run}/failure")).json()


async def test_a_failure_is_told_with_its_place_its_job_and_the_lines_that_matter(world):
    note = Annotation(level="error", file="tests/test_cart.py", line=12, message="3 is not 4")
    told = await failure_of(world, await failed_run(world, log=LOG, annotations=[note]))
    assert told["state"] == "failed"
    failure = told["failure"]
    assert (failure["file"], failure["line"], failure["step"]) == (
        ".staunch/pipeline.py",
        12,
        "unit",
    )
    assert (told["job"]["key"], told["job"]["attempt"]) == ("unit", 1)
    assert len(told["log"]) == 30
    assert told["log"][-1] == "FAIL: it is not 4"
    assert told["annotations"][0]["file"] == "tests/test_cart.py"


async def test_a_run_that_did_not_fail_says_so(world):
    told = await failure_of(world, await running_run(world))
    assert (told["failure"], told["job"], told["log"]) == (None, None, [])
    (said, url) = lines_of(told)
    assert "is running: nothing of it failed" in said
    assert url == told["url"]


async def test_of_a_run_that_is_not_there_nothing_is_told(world):
    async with client_of(world) as client:
        answer = await client.get("/api/v1/runs/0-0123456789abcdef0123/failure")
    assert (answer.status_code, answer.json()["title"]) == (404, "No such run")


async def test_in_a_terminal_it_is_one_screen_and_no_text_of_others_is_more_than_text(world):
    note = Annotation(level="error", file="a.py", line=1, message="[bold]not bold[/]")
    story = await failed_run(world, log="[red]x[/]\n", annotations=[note])
    lines = lines_of(await failure_of(world, story))
    assert len(lines) < 40
    assert lines[0].startswith("[bold red]JobFailed in unit[/]")
    assert "  .staunch/pipeline.py:12 [dim]in the pipeline[/]" in lines
    assert any(r"a.py:1[/] \[bold]not bold\[/]" in line for line in lines)
    assert r"  \[red]x\[/]" in lines
    assert lines[-1].endswith(f"/runs/{story.run}[/]")
