"""The table of docs/conformance.md says what is so: its tests exist, its counts are counted."""

import ast
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.conformance.cases import CASES, GROUPS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/conformance.md").read_text()
# Each suite: its files, and how many scenarios are in each.
SUITES = {
    "workflows-shared": {
        "binding": 30,
        "context": 33,
        "delay": 11,
        "engine": 47,
        "validators": 54,
    },
    "dbos-transact": {"test_singleexec": 6, "test_failures": 37, "test_patch": 2, "test_queue": 76},
}
ROW = re.compile(r"^\| (\w+) (\d+) \| (.+?) \| (.+?) \| (.+) \|$", re.M)
COUNT = re.compile(r"^\| ([\w-]+) \| " + r" \| ".join([r"(\d+)"] * 6) + r" \|$", re.M)
NAMED = re.compile(rf"`((?:{'|'.join(GROUPS)})\.\w+|[\w/]*test_\w+\.py(?:::\w+)?)`")
RESULTS = ("passes", "differs", "fails", "does not apply")


@dataclass(frozen=True)
class Row:
    """One scenario: whose it is, what becomes of it, and what is said of that."""

    file: str
    number: int
    scenario: str
    result: str
    said: str

    @property
    def tests(self) -> list[str]:
        return NAMED.findall(self.said)

    @property
    def reason(self) -> str:
        return NAMED.sub("", self.said).strip(" ,:")


ROWS = [Row(file, int(number), *rest) for file, number, *rest in ROW.findall(PAGE)]


@cache
def functions_of(path: Path) -> frozenset[str]:
    """The names of all test functions of a file, those of its classes too."""
    walked = ast.walk(ast.parse(path.read_text()))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in walked if isinstance(node, kinds))


def exists(test: str) -> bool:
    """Whether there is such a case, such a function, or such a file of tests."""
    name, _, function = test.partition("::")
    if not name.endswith(".py"):
        return name in CASES
    path = ROOT / name if "/" in name else ROOT / "tests/conformance" / name
    return path.is_file() and (not function or function in functions_of(path))


def test_every_scenario_is_there_once_and_in_its_order() -> None:
    expected = [
        (file, number)
        for files in SUITES.values()
        for file, count in files.items()
        for number in range(1, count + 1)
    ]
    assert [(row.file, row.number) for row in ROWS] == expected


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.file} {row.number}")
def test_a_row_names_tests_that_exist_or_says_why_there_is_none(row: Row) -> None:
    assert row.result in RESULTS
    assert [test for test in row.tests if not exists(test)] == []
    assert bool(row.tests) == (row.result in ("passes", "differs"))
    assert bool(row.reason) == (row.result != "passes")


def test_the_counts_are_those_of_the_rows() -> None:
    counted = {}
    for suite, files in SUITES.items():
        of = Counter(row.result for row in ROWS if row.file in files)
        applies = of.total() - of["does not apply"]
        counted[suite] = [of.total(), applies, *(of[result] for result in RESULTS)]
    shown = {suite: [int(number) for number in numbers] for suite, *numbers in COUNT.findall(PAGE)}
    assert shown == counted


def test_a_name_that_leads_nowhere_is_found_out() -> None:
    assert exists("retries.not_worth_retrying")
    assert exists("test_runs.py::test_the_same_start_twice_is_one_run")
    assert exists("tests/unit/web/test_sensitive.py")
    assert not exists("retries.nobody")
    assert not exists("test_runs.py::test_nobody")
    assert not exists("tests/unit/web/test_nobody.py")
