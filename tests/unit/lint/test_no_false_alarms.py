"""The pipelines of the documentation and the tests have the findings that they are meant for."""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.lint.check import lint
from tests.tenants import plan

ROOT = Path(__file__).resolve().parents[3]
FENCE = re.compile(r"^```python\n(.*?)^```", re.M | re.S)
BEGIN = "async def run("
PAGES = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
# Pipelines that are wrong on purpose, or that are put together of pieces.
MEANT = {
    "tests/contract/test_sandbox.py": {"run-signature", "syntax-error"},
    "tests/e2e/test_bad_pipelines.py": {"missing-module", "syntax-error"},
    "tests/e2e/test_shell.py": {"syntax-error"},
    "tests/month/forge.py": {"wrong-duration"},
    "tests/test_editors.py": {
        *("missing-module", "unknown-argument", "unknown-trigger", "wrong-argument"),
    },
    "tests/unit/cli/test_lint_command.py": {"unknown-verb", "wrong-name"},
    "tests/unit/cli/test_plan.py": {"no-exit"},
    "tests/unit/engine/test_actors.py": {"syntax-error"},
    "tests/unit/engine/test_reruns.py": {"unknown-pipeline"},
    "tests/unit/tenant/test_limits.py": {"missing-module"},
    "tests/unit/tenant/test_threads.py": {"clock-at-import", "no-exit"},
    "tests/unit/testkit/test_kit.py": {"missing-module"},
    "tests/unit/testkit/test_planned.py": {"syntax-error"},
}


def pipelines_of_page(page: Path) -> Iterator[str]:
    """Those of the documentation."""
    yield from (one for one in FENCE.findall(page.read_text()) if BEGIN in one)


def pipelines_of_tests(path: Path) -> Iterator[str]:
    """Those that are texts in a test, whole or as the body of a `plan(…)`."""
    tree = ast.parse(path.read_text())
    pieces = {
        part for one in ast.walk(tree) if isinstance(one, ast.JoinedStr) for part in one.values
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in pieces:
            if BEGIN in node.value and "\n" in node.value:
                yield textwrap.dedent(node.value)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("plan"):
            texts = [one.value for one in node.args if isinstance(one, ast.Constant)]
            if texts and len(texts) == len(node.args) and all(isinstance(t, str) for t in texts):
                yield plan(*texts[:2])


def rules(source: str) -> set[str]:
    """What is found; pipelines that it calls are there."""
    named = re.findall(r'step\.(?:call|start)\(\s*[^,()]+,\s*["\'](\w+)["\']', source)
    beside = {f".staunch/{name}.py": "async def run(event, step): ..." for name in named}
    found = lint({".staunch/pipeline.py": source, **beside}, lambda _: None)
    return {f"{one.line}: {one.rule}: {one.message}" for one in found}


TESTS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "tests").rglob("*.py")
    if path.parent.name != "lint" and re.search(rf"{re.escape(BEGIN)}|plan\(", path.read_text())
)


@pytest.mark.parametrize("page", sorted(str(page.relative_to(ROOT)) for page in PAGES))
def test_an_example_of_the_documentation_has_no_findings(page: str) -> None:
    for source in pipelines_of_page(ROOT / page):
        assert rules(source) == set(), source


@pytest.mark.parametrize("path", TESTS)
def test_a_pipeline_of_a_test_has_the_findings_that_it_is_meant_to_have(path: str) -> None:
    found = {one for source in pipelines_of_tests(ROOT / path) for one in rules(source)}
    kinds = {one.split(": ")[1] for one in found}
    assert kinds == MEANT.get(path, set()), found


def test_most_tests_are_looked_at() -> None:
    looked_at = [one for path in TESTS for one in pipelines_of_tests(ROOT / path)]
    assert len(looked_at) > 200
