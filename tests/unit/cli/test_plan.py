"""`staunch plan`: what people and programs are shown of what would run, in the real sandbox."""

import contextlib
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from ci_host.cli import command_line
from ci_host.cli.client import ClientError
from ci_host.cli.plan import supposed_values
from ci_host.cli.plan_choices import Change, choices_of
from pipelines.bundle import PipelineEntry
from pipelines.event import Event, EventKind
from tests.repos import Repo

pytestmark = [pytest.mark.sandbox, pytest.mark.xdist_group("plan")]

SHOP = """
from staunch import matrix, on

on.push(branches=["main"], paths=["src/*"])

async def run(event, step):
    await step.parallel(
        step.job("lint", run="ruff check ."),
        *[step.job(f"test {c.name}", run="pytest", image=f"python:{c['python']}")
          for c in matrix(python=["3.11", "3.12", "3.13", "3.14"])],
    )
    await step.gate("go", approvers=["@ops"])
    await step.job("deploy", run=["./deploy.sh", "./smoke.sh"], pool="large",
                   secrets={"KEY": "DEPLOY_KEY"})
    await step.sleep("soak", "2h")
    await step.call("notes", "notes")
"""
NOTES = """
from staunch import on
on.schedule("0 3 * * *", name="<&nightly>")
async def run(event, step):
    await step.job("write <notes>", run="./notes.sh & wait")
"""
LONG = " ".join(f"word{number}" for number in range(12))
WIDE = f"""
from staunch import on
on.push()
async def run(event, step):
    await step.job("build {"x" * 60}", run="make {LONG}")
"""
PUSH = Event(kind=EventKind.PUSH, ref="refs/heads/main", commit="a" * 40, before="b" * 40)


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    found = Repo(tmp_path_factory.mktemp("shop"))
    found.commit({".staunch/pipeline.py": SHOP, ".staunch/notes.py": NOTES, "README": "1"})
    found.push()
    found.git("branch", "-q", "-u", "origin/main")
    found.write({"src/a.py": "1\n", "docs/a.md": "1\n"})
    return found


def plan(repo, *words: str) -> tuple[int, str]:
    """The exit code, and what is printed or said instead."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            words = ("plan", str(repo.work), *words)
            code = command_line().main(words, standalone_mode=False)
        except ClientError as error:
            return error.exit_code, str(error)
    return code or 0, printed.getvalue()


def test_a_push_is_a_tree_of_what_would_run_with_why_and_what_is_supposed(repo, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, said = plan(repo, "--event", "push")
    lines = [line.strip(" │├└─") for line in said.splitlines()]
    assert code == 0
    assert lines[:2] == [
        "push of main",
        "as if each job succeeded, each gate was approved, each signal came, and no time was"
        " waited",
    ]
    assert "○ notes does not run: it runs on schedule" in lines
    why = "on.push(branches=['main'], paths=['src/*']): src/a.py changed since"
    assert any(line.startswith(f"● pipeline runs: {why}") for line in lines)
    for wanted in (
        "○ test python=* (4) job pool default · image python:3.11, …",
        "○ go gate after test python=*, lint · 1 of @ops · supposed approved by somebody",
        "○ deploy job pool large · secrets KEY from DEPLOY_KEY",
        "$ ./deploy.sh",
        "$ ./smoke.sh",
        "○ soak sleep 2h, skipped",
        "○ notes call pipeline notes",
        "○ write <notes> job pool default",
        "succeeded",
    ):
        assert wanted in lines, said


def test_into_a_pipe_each_step_is_one_line(repo, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    repo.write({".staunch/wide.py": WIDE})
    try:
        _, said = plan(repo, "--event", "push", "--pipeline", "wide")
    finally:
        (Path(repo.work) / ".staunch/wide.py").unlink()
    (line,) = (line for line in said.splitlines() if "$ make" in line)
    assert line.endswith(LONG)


def test_programs_are_told_the_same_with_what_each_step_needs(repo):
    told = json.loads(plan(repo, "--event", "push", "--json")[1])
    notes, shop = told["pipelines"]
    assert (notes["runs"], shop["runs"], shop["state"]) == (False, True, "succeeded")
    steps = {step["key"]: step for step in shop["steps"]}
    assert steps["deploy"]["needs"] == ["go"]
    assert steps["deploy"]["commands"] == ["./deploy.sh", "./smoke.sh"]
    assert steps["soak"]["wait_s"] == 7200
    assert steps["notes"]["child"]["steps"][0]["key"] == "write <notes>"
    assert told["event"]["ref"] == "refs/heads/main"


def test_a_step_that_fails_shows_where_that_leads(repo):
    code, said = plan(repo, "--event", "push", "--fail", "test python=3.12", "--json")
    (_, shop) = json.loads(said)["pipelines"]
    assert (code, shop["state"]) == (0, "failed")
    assert "go" not in [step["key"] for step in shop["steps"]]


def test_what_is_said_of_a_step_that_is_not_there_lists_those_that_are(repo):
    code, said = plan(repo, "--event", "push", "--fail", "deplyo")
    assert code == 2
    assert said.startswith("there is no step 'deplyo'; there are: lint, test python=3.11")


def test_an_event_that_nothing_wants_says_why_and_ends_with_1(repo):
    code, said = plan(repo, "--event", "tag:v1")
    assert code == 1
    assert "pipeline does not run: it runs on push" in said


def test_without_an_event_it_is_a_start_by_hand_of_one_pipeline(repo):
    code, said = plan(repo, "--pipeline", "notes")
    assert code == 0
    assert "notes runs: somebody starts it by hand" in said
    assert plan(repo, "--pipeline", "nothing")[0] == 4


def test_the_drawing_is_well_formed_and_names_every_step(repo, tmp_path):
    path = tmp_path / "plan.svg"
    assert plan(repo, "--event", "push", "--svg", str(path))[0] == 0
    root = ET.fromstring(path.read_text())
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"lint", "test python=*", "4 steps", "go", "deploy", "soak", "write <notes>"} <= set(
        texts
    )
    assert "notes, called by step notes of pipeline: succeeded" in texts
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    assert plan(repo, "--svg", str(tmp_path / "none" / "x.svg"))[0] == 2


def test_the_checkout_stays_as_it_is_and_nothing_is_left_behind(repo, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = repo.git("status", "--porcelain")
    plan(repo, "--event", "pr")
    assert repo.git("status", "--porcelain") == before
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_its_sandbox_stops_fails_as_on_a_server(tmp_path):
    rash = Repo(tmp_path)
    rash.commit({".staunch.py": "async def run(event, step):\n    import os\n    os.abort()\n"})
    code, said = plan(rash)
    assert (code, "failed: " in said) == (1, True)
    assert ".staunch.py:3" in said


def test_what_is_supposed_is_read_as_json_or_as_text():
    given = ["a.b=1", 'a.c="x"', "py3.12.version=1.2.3", "go.why=so be it", "x.y=a.b=c"]
    assert supposed_values(given) == {
        "a": {"b": 1, "c": "x"},
        "py3.12": {"version": "1.2.3"},
        "go": {"why": "so be it"},
        "x": {"y": "a.b=c"},
    }
    for wrong in ("a=1", "a.b", ".b=1"):
        with pytest.raises(ClientError, match=r"STEP\.NAME=VALUE"):
            supposed_values([wrong])


PATHS = [{"on": "push", "branches": None, "paths": ["src/*"]}]


@pytest.mark.parametrize(
    ("triggers", "change", "runs", "why"),
    [
        (None, Change("", [], ""), True, "it declares no trigger"),
        (PATHS, Change("", ["src/a"], "since b"), True, "src/a changed since b"),
        (PATHS, Change("", ["docs/a"], "since b"), False, "(1 changed since b)"),
        (PATHS, Change("", None, ""), True, "nobody can say what has changed"),
        (PATHS, Change("x [skip ci]", ["src/a"], ""), False, "skipped by its commit message"),
        ([{"on": "tag"}], Change("", None, ""), False, "it runs on tag"),
    ],
)
def test_each_pipeline_says_why_it_runs_or_does_not(triggers, change, runs, why):
    entry = PipelineEntry(name="pipeline", file=".staunch/pipeline.py", triggers=triggers)
    (found,) = choices_of([entry], PUSH, "", change)
    assert found.runs is runs
    assert why in found.why


def test_a_folder_that_is_no_checkout_or_has_no_pipeline_says_so(tmp_path):
    class Nothing:
        work: Path = tmp_path

    assert plan(Nothing())[0] == 4
    assert plan(Repo(tmp_path, "empty"))[0] == 4
