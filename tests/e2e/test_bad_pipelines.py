"""Pipelines that are wrong: the author is told what and where, in every place where they look."""

import pytest

from tests.e2e.installed import FILE, delivery_of, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

ENDLESS = """
n = 0
while True:
    n += 1
"""
HUNGRY = """
kept = []
while True:
    kept.append(bytearray(10_000_000))
"""
DOWN = "def down(): return 1 + down()"


def told_everywhere(here, run, commit, type_, place, message):
    """The API, the command line, the page and the commit's status say the same."""
    ended = here.ended(run)
    assert ended["state"] == "failed"
    error = ended["error"]
    assert (error["type"], f"{error['file']}:{error['line']}") == (type_, place)
    assert message in error["message"]
    shown = " ".join(here.staunch("show", run).split())
    assert f"{place}: {error['message'].splitlines()[0][:40]}" in shown
    why = here.staunch("why", ended["url"])
    assert f"{place} in the pipeline" in why
    assert error["message"].splitlines()[0][:40] in why
    assert place in here.page(f"/runs/{run}")
    verdict = here.verdict(commit)
    assert (verdict.state, verdict.context) == ("error", "staunch/pipeline")
    assert verdict.description.startswith(f"{place}: ")
    assert verdict.target_url == ended["url"]


@pytest.mark.parametrize(
    ("source", "type_", "line", "message"),
    [
        ("async def run(event, step):\n    return (\n", "SyntaxError", 2, "never closed"),
        ("x = 1\nimport numpy\n", "ModuleNotFoundError", 2, "numpy"),
        ("import json\n\n1 / 0\n", "ZeroDivisionError", 3, "division"),
        ("from staunch import on\non.push(branch='main')\n", "TypeError", 2, "branch"),
        ("import sys\nsys.exit(3)\n", "SystemExit", 2, "3"),
        (plan("a = 1\nraise KeyError('colour')"), "KeyError", 7, "colour"),
        (plan(ENDLESS), "TimeExceeded", 8, "more than 2 s of CPU"),
        (plan(HUNGRY), "MemoryError", 8, ""),
        (plan("down()", DOWN), "RecursionError", 4, "recursion"),
        (plan("while True: print('and on' * 100)"), "LimitBreached", 6, "65536 characters"),
    ],
    ids=[
        "syntax", "missing-module", "raises-at-import", "wrong-trigger", "exits", "raises",
        "endless", "hungry", "recursive", "talkative",
    ],
)  # fmt: skip
def test_a_wrong_pipeline_is_told_with_file_and_line(here, repo, source, type_, line, message):
    commit = repo.pushed({FILE: source})
    told_everywhere(here, here.run(commit), commit, type_, f"{FILE}:{line}", message)


def test_the_line_is_that_of_a_module_beside_the_pipeline_where_the_mistake_is_there(here, repo):
    files = {
        FILE: plan("prices.total('1')", "import prices"),
        ".staunch/prices.py": "def total(x):\n    return x + 1\n",
    }
    commit = repo.pushed(files)
    told_everywhere(
        here, here.run(commit), commit, "TypeError", ".staunch/prices.py:2", "concatenate"
    )


def test_a_pipeline_that_breaks_out_while_it_is_imported_is_told_on_the_commit(here, repo):
    commit = repo.pushed({FILE: "import os\nos._exit(3)\n"})
    verdict = here.verdict(commit, "staunch")
    assert verdict.state == "error"
    assert verdict.description.startswith(f"{FILE}:2: ")
    assert "wasi:cli/exit" in verdict.description
    delivery = delivery_of(here, repo)
    assert delivery["state"] == "ignored"
    assert f"{FILE}:2: " in delivery["reason"]


def test_a_job_that_fails_is_a_failure_of_the_change_and_no_error_of_the_pipeline(here, repo):
    source = plan("await step.job('unit', run='echo app.py:3: it is not 4; exit 7')")
    commit = repo.pushed({FILE: source})
    ended = here.ended(here.run(commit))
    assert ended["state"] == "failed"
    assert ended["error"]["step"] == "unit"
    assert "exit code 7" in ended["error"]["message"]
    verdict = here.verdict(commit)
    assert verdict.state == "failure"
    assert "job 'unit' failed with exit code 7" in verdict.description


def test_two_pipelines_are_two_runs_and_two_statuses_and_one_may_be_wrong(here, repo):
    commit = repo.pushed(
        {FILE: plan("return 1"), ".staunch/nightly.py": "async def run(event, step)\n"}
    )
    runs = {run["pipeline"]: run["id"] for run in here.runs(commit, 2)}
    assert set(runs) == {"pipeline", "nightly"}
    assert here.ended(runs["pipeline"])["state"] == "succeeded"
    assert here.ended(runs["nightly"])["state"] == "failed"
    assert here.verdict(commit).state == "success"
    assert here.verdict(commit, "staunch/nightly").state == "error"
    assert here.verdict(commit, "staunch/nightly").description.startswith(".staunch/nightly.py:1:")
