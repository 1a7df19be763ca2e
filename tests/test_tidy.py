"""Tidy: what the house style says and a machine can see. The checks are themselves checked."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = ("pipelines", "webhooks", "runners", "ci_host")
LINES_PER_MODULE_MAX = 400
LINES_PER_FUNCTION_MAX = 50
MODULES_PER_FOLDER_MIN = 50
# Written in two halves, so that this file may be looked at too.
UNFINISHED = ("FIX" + "ME", "XX" + "X", "TO" + "DO", "HA" + "CK")
CATCH_ALLS = frozenset({"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"})
# What people read or run, and machines did not write.
WRITTEN = frozenset({".py", ".md", ".sh", ".yaml", ".yml", ".toml", ".js", ".css", ".html"})
PAGE_FILES = frozenset({".js", ".css", ".html"})
# Brought along unchanged; it has a maker's own shape.
NOT_OURS = frozenset({"vendor"})
# It grows with every release, and is read from its top.
ENDLESS = frozenset({"CHANGELOG.md"})


def long_module(text: str) -> Iterator[str]:
    """A file is one concept, a page one topic."""
    lines = text.count("\n")
    if lines > LINES_PER_MODULE_MAX:
        yield f"{lines} lines: split it by concept"


def no_docstring(text: str) -> Iterator[str]:
    """A module says what lives in it."""
    if not ast.get_docstring(ast.parse(text)):
        yield "no docstring: say in one sentence what lives here"


def long_function(text: str) -> Iterator[str]:
    """Branch in the caller, loop in the callee."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        prose = node.body[0] if ast.get_docstring(node) else None
        told = (prose.end_lineno or 0) - prose.lineno + 1 if prose else 0
        lines = (node.end_lineno or 0) - node.lineno + 1 - told
        if lines > LINES_PER_FUNCTION_MAX:
            yield f"{node.name} is {lines} lines: branch in the caller, loop in the callee"


def unfinished(text: str) -> Iterator[str]:
    """What is open is settled before it is merged."""
    for word in UNFINISHED:
        if re.search(rf"\b{word}\b", text):
            yield f"{word} must be settled before it is merged"


def relative_import(text: str) -> Iterator[str]:
    """An import says where it leads."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"line {node.lineno}: a relative import"


def mock(text: str) -> Iterator[str]:
    """Nothing is mocked, however it is reached."""
    for node in ast.walk(ast.parse(text)):
        named = isinstance(node, ast.Import) and any(a.name == "unittest.mock" for a in node.names)
        if named or (isinstance(node, ast.Name) and node.id == "MagicMock"):
            yield f"line {node.lineno}: write a fake behind the port instead"


def catch_all_name(path: Path) -> Iterator[str]:
    """A file is named with its noun."""
    for part in (*path.parts[:-1], path.stem):
        if CATCH_ALLS & set(part.lower().split("_")):
            yield f"{part!r} names nothing: call it after what lives there"


CODE_CHECKS: tuple[Callable[[str], Iterator[str]], ...] = (
    long_module,
    no_docstring,
    long_function,
    unfinished,
    relative_import,
)
TEST_CHECKS: tuple[Callable[[str], Iterator[str]], ...] = (
    unfinished,
    relative_import,
    mock,
)


def modules(*folders: str) -> list[str]:
    """The Python files of these folders, relative to the root."""
    found = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return sorted(str(path.relative_to(ROOT)) for path in found if "fixtures" not in path.parts)


def written() -> list[str]:
    """Every file of the repository that somebody writes, code, tests and pages alike."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [Path(line) for line in listed.stdout.splitlines()]
    return sorted(
        str(path)
        for path in paths
        if path.suffix in WRITTEN
        and (ROOT / path).exists()
        and path.name not in ENDLESS
        and not NOT_OURS & set(path.parts)
    )


def pages() -> list[str]:
    """The page's own scripts, styles and templates."""
    found = (ROOT / "ci_host/web").rglob("*")
    ours = [p for p in found if p.suffix in PAGE_FILES and not NOT_OURS & set(p.parts)]
    return sorted(str(path.relative_to(ROOT)) for path in ours)


def complaints(paths: list[str], checks: tuple[Callable[[str], Iterator[str]], ...]) -> list[str]:
    """Whatever is said of these files, each with its name."""
    texts = {path: (ROOT / path).read_text() for path in paths}
    return [
        f"{path}: {said}"
        for path, text in texts.items()
        for check in checks
        for said in check(text)
    ]


# One test for all files of a folder: there are two thousand, and as many tests would cost more
# than what they look at.
@pytest.mark.parametrize("folder", CODE)
def test_every_module_is_tidy(folder: str) -> None:
    paths = modules(folder)
    assert len(paths) > MODULES_PER_FOLDER_MIN
    assert complaints(paths, CODE_CHECKS) == []


def test_no_file_is_long() -> None:
    files = written()
    assert {"tests/test_tidy.py", "docs/guide/limits.md", "pipelines/turn.py"} <= set(files)
    found = {path: list(long_module((ROOT / path).read_text())) for path in files}
    assert {path: said for path, said in found.items() if said} == {}


def test_no_two_files_of_tests_have_one_name() -> None:
    names = [Path(path).name for path in modules("tests") if Path(path).name.startswith("test_")]
    assert len(names) > 100
    assert [name for name in set(names) if names.count(name) > 1] == []


def test_the_tests_leave_nothing_open() -> None:
    paths = modules("tests")
    assert "tests/test_tidy.py" in paths
    assert complaints(paths, TEST_CHECKS) == []


def test_every_file_is_named_with_its_noun() -> None:
    found = {path: list(catch_all_name(Path(path))) for path in modules(*CODE, "tests")}
    assert {path: said for path, said in found.items() if said} == {}


def test_the_page_s_files_are_short() -> None:
    for path in pages():
        text = (ROOT / path).read_text()
        said = [*long_module(text), *unfinished(text)]
        assert not said, f"{path}: {said}"


def lines(count: int) -> str:
    """A function of that many lines."""
    return "def f():\n" + "    x = 1\n" * (count - 1)


AT_THE_LIMIT = [
    (long_module, "x = 1\n" * LINES_PER_MODULE_MAX),
    (long_function, lines(LINES_PER_FUNCTION_MAX)),
    (
        long_function,
        lines(LINES_PER_FUNCTION_MAX).replace(":\n", ':\n    """One.\n\n    Two."""\n'),
    ),
    (no_docstring, '"""Said."""\n'),
    (unfinished, "EXXXTRA = 'methodology'\n"),
    (relative_import, "from a.b import c\n"),
    (mock, "import unittest\n"),
]
BEYOND_IT = [
    (long_module, "x = 1\n" * (LINES_PER_MODULE_MAX + 1)),
    (long_function, lines(LINES_PER_FUNCTION_MAX + 1)),
    (long_function, "class A:\n    async def f():\n" + "        x = 1\n" * LINES_PER_FUNCTION_MAX),
    (no_docstring, "x = 1\n"),
    (no_docstring, ""),
    *[(unfinished, f"x = 1  # {word}: later\n") for word in UNFINISHED],
    (relative_import, "from . import c\n"),
    (mock, "import unittest.mock\n"),
    (mock, "MagicMock()\n"),
]


@pytest.mark.parametrize(("check", "sample"), AT_THE_LIMIT)
def test_what_is_within_the_rule_passes(check: Callable[[str], Iterator[str]], sample: str) -> None:
    assert list(check(sample)) == []


@pytest.mark.parametrize(("check", "sample"), BEYOND_IT)
def test_what_breaks_the_rule_is_found(check: Callable[[str], Iterator[str]], sample: str) -> None:
    assert list(check(sample)) != []


@pytest.mark.parametrize("path", ["a/utils.py", "helpers/b.py", "a/job_manager.py", "a/base.py"])
def test_a_catch_all_name_is_found(path: str) -> None:
    assert list(catch_all_name(Path(path))) != []


@pytest.mark.parametrize("path", ["a/database.py", "a/manage_me_not.py", "a/commands.py"])
def test_a_noun_is_no_catch_all(path: str) -> None:
    assert list(catch_all_name(Path(path))) == []
