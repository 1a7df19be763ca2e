import random
import re
from pathlib import Path

import pytest

from ci_host.engine.calendar import check
from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from pipelines.bundle import Bundle
from pipelines.failure import Failure
from pipelines.lint.check import lint
from pipelines.lint.finding import Finding
from pipelines.lint.project import Known
from pipelines.lint.rules import RULES
from tests.lint_cases import Case, cases, shown

CASES = dict(cases())
GUIDE = Path(__file__).resolve().parents[3] / "docs/guide/lint.md"
# The words for these are this Python's, and another one has others.
OF_PYTHON = "syntax-error"
# Found where files are read: see tests/unit/cli/test_lint_command.py.
OF_FILES = {"refused-file", "wrong-secrets-file", "unknown-secret", "unknown-pool"}
RUN = "async def run(event, step): ..."
MADE = f"def of(count):\n    {RUN}\n    return run"
MEDDLING = ["await", "step", "*", "**", "None", "[]", "...", "-1", "lambda: 1", "run", "1e400"]


def found_in(case: Case) -> list[Finding]:
    """What lint says of it, with the host's own knowledge of schedules."""
    return lint(case.files, lambda schedule: check(schedule, 1_000_000.0))


def refused(files: dict[str, str]) -> list[Failure]:
    """What the loader refuses of these files."""
    prepared = TenantHost(NativeImage()).prepare(Bundle(files=files))
    return [one.error for one in prepared.pipelines if one.error is not None]


def test_there_are_at_least_sixty_cases_and_one_for_every_rule() -> None:
    rules = set(re.findall(r": ([a-z-]+): ", "".join(one.findings for one in CASES.values())))
    assert len(CASES) >= 60
    assert set(RULES) - OF_FILES <= rules


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_found_at_its_place_with_what_is_wrong_and_a_fix(name: str) -> None:
    found, wanted = found_in(CASES[name]), CASES[name].findings
    assert found
    if OF_PYTHON in wanted:
        first = found[0]
        assert wanted.startswith(f"{first.file}:{first.line}:{first.column}-")
        assert first.rule == OF_PYTHON
    else:
        assert shown(found) == wanted


@pytest.mark.parametrize("name", CASES)
def test_what_the_loader_refuses_is_found_in_the_same_file_and_line(name: str) -> None:
    places = {(one.file, one.line) for one in found_in(CASES[name])}
    whole = {one.file for one in found_in(CASES[name]) if one.rule == "run-not-async"}
    for error in refused(CASES[name].files):
        # That a `run` is none the loader says of the whole file.
        assert (error.file, error.line) in places or error.file in whole, error


def test_a_case_that_is_mended_has_no_findings_and_loads() -> None:
    files = {
        ".staunch/pipeline.py": (
            "from staunch import Retry, on\n\nfrom prices import total\n\n"
            'on.push(branches=["main"])\non.schedule("0 3 * * 1-5", tz="Europe/Berlin")\n\n\n'
            "async def run(event, step):\n"
            '    built = await step.job("build", run="make", retries=Retry(2), timeout="5m")\n'
            '    return total(built.outputs), await step.call("eu", "deploy")\n'
        ),
        ".staunch/prices.py": "def total(outputs):\n    return len(outputs)\n",
        ".staunch/deploy.py": "async def run(event, step):\n    return 1\n",
    }
    assert found_in(Case(files, "")) == []
    assert refused(files) == []


@pytest.mark.parametrize(
    "files",
    [
        {"pipeline": "async def build(s, name): ...", "ci": "import pipeline\n" + RUN},
        {"pipeline": "async def build(s, name): ...", "ci": "from pipeline import build\n" + RUN},
        {"pipeline": "VAT = 19", "ci": RUN},
        {"pipeline": "", "ci": RUN},
        {"pipeline": "from plans import run", "plans": RUN},
        {"pipeline": "from plans import *", "plans": "async def run(event, step): ..."},
        {"pipeline": "import plans\n\nrun = plans.of(1)", "plans": MADE},
        {"pipeline": f"if True:\n    {RUN}\nelse:\n    pass"},
    ],
    ids=[
        *("a-module", "a-module-of-names", "values", "empty", "imported", "star", "assigned", "if"),
    ],
)
def test_a_file_without_a_run_beside_a_pipeline_is_no_mistake(files: dict[str, str]) -> None:
    texts = {f".staunch/{name}.py": text for name, text in files.items()}
    assert found_in(Case(texts, "")) == []
    assert TenantHost(NativeImage()).prepare(Bundle(files=texts)).pipelines


def test_the_guide_has_a_section_for_every_rule_and_for_nothing_else() -> None:
    headings = re.findall(r"^### (.+)$", GUIDE.read_text(), re.M)
    assert headings == list(RULES)


@pytest.mark.parametrize("text", ["\0", "(" * 5000, "x = " + "[" * 300 + "]" * 300, "\ud800"])
def test_what_no_parser_reads_is_a_finding_and_no_error_of_ours(text: str) -> None:
    found = lint({".staunch/pipeline.py": text}, lambda _: None)
    assert [one.rule for one in found if one.rule == OF_PYTHON] == [OF_PYTHON]


@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_changed_in_a_pipeline_lint_answers_with_findings(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(200):
        files = dict(CASES[dice.choice(list(CASES))].files)
        for path, text in files.items():
            files[path] = changed(text, dice)
        assert all(one.message and one.fix and one.line >= 1 for one in found_in(Case(files, "")))


def changed(text: str, dice: random.Random) -> str:
    """The text with one or two words left out, doubled, or put in place of another."""
    words = re.split(r"(\s+|\W)", text)
    for _ in range(dice.randint(1, 2)):
        place = dice.randrange(len(words))
        words[place] = dice.choice(["", *MEDDLING, words[place] * 2, dice.choice(words)])
    return "".join(words)


def test_a_step_that_is_named_after_itself_is_a_step() -> None:
    source = 'async def run(event, step):\n    step = step.scope("eu")\n    await step.jbo("a")\n'
    assert [one.rule for one in lint({".staunch/pipeline.py": source}, lambda _: None)] == [
        "unknown-verb"
    ]


ASKING = """
POOL = "gpu"


async def run(event, step):
    await step.job("a", run="b", secrets=["NPM_TOKEN", "DEPLOY_KY", event.branch], pool=POOL)
    await step.job("c", run="d", secrets={"KEY": "DEPLOY_KEY", "OTHER": "NOWHERE"}, pool="large")
    await step.job("e", run="f", secrets=event.inputs, pool=event.branch)
"""


def test_secrets_and_pools_that_an_installation_has_not_are_found_where_it_was_asked() -> None:
    files = {".staunch/pipeline.py": ASKING}
    assert lint(files, lambda _: None) == [], "a text alone cannot know"
    secrets = frozenset({"NPM_TOKEN", "DEPLOY_KEY"})
    known = Known("https://ci.example", secrets, frozenset({"default", "gpus", "large"}))
    assert [
        (one.line, one.column, one.rule, one.fix) for one in lint(files, lambda _: None, known)
    ] == [
        (6, 56, "unknown-secret",
         "write 'DEPLOY_KEY', or `staunch secret set DEPLOY_KY` makes it"),
        (6, 89, "unknown-pool", "write 'gpus', or start a runner with that --pool"),
        (7, 73, "unknown-secret", "`staunch secret set NOWHERE` makes it"),
    ]  # fmt: skip
