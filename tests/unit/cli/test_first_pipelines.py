"""First pipelines: what `staunch init` makes of the files at the top of a checkout."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from ci_host.cli.init import NOTHING_KNOWN, pipeline_text
from ci_host.cli.toolchains import Toolchain, others_of, toolchain_of
from pipelines.lint.check import lint

CHECKOUTS = Path(__file__).parents[2] / "checkouts"


def chosen(**files: str) -> Toolchain:
    named = {
        name.replace("__", ".").replace("_lock", "-lock"): text for name, text in files.items()
    }
    found = toolchain_of(named, lambda name: named.get(name, ""))
    assert found is not None
    return found


def runs(found: Toolchain) -> dict[str, str]:
    return {job.name: job.run for job in found.jobs}


PACKAGE = '{"scripts": {"lint": "eslint .", "test": "vitest", "build": "vite build"}, %s}'


@pytest.mark.parametrize(
    ("files", "setup", "jobs"),
    [
        ({"pyproject__toml": "", "tests": ""}, "", {"test": "python3 -m unittest"}),
        ({"setup__cfg": ""}, "", {"test": "python3 -m compileall -q ."}),
        ({"test_a__py": "import unittest", "a__py": ""}, "", {"test": "python3 -m unittest"}),
        ({"a__py": ""}, "", {"test": "python3 -m compileall -q ."}),
        (
            {"test_a__py": "import pytest"},
            "pip install --cache-dir .pip pytest",
            {"test": "python3 -m pytest --junit-xml=reports/pytest.xml"},
        ),
        (
            {"requirements__txt": "pytest\nflask\n"},
            "pip install --cache-dir .pip -r requirements.txt pytest",
            {"test": "python3 -m pytest --junit-xml=reports/pytest.xml"},
        ),
        (
            {
                "pyproject__toml": "[project]\ndependencies = ['flask']\n[tool.ruff]\n"
                "[project.optional-dependencies]\ntest = ['pytest']\n"
            },
            "pip install --cache-dir .pip -e '.[test]' pytest ruff",
            {
                "lint": "python3 -m ruff check .",
                "test": "python3 -m pytest --junit-xml=reports/pytest.xml",
            },
        ),
        (
            {"package__json": PACKAGE % '"devDependencies": {"a": "1"}', "pnpm_lock.yaml": ""},
            "pnpm install --frozen-lockfile --store-dir .npm",
            {"lint": "pnpm run lint", "test": "pnpm run test", "build": "pnpm run build"},
        ),
        (
            {"package__json": PACKAGE % '"dependencies": {}'},
            "",
            {"lint": "npm run lint", "test": "npm run test", "build": "npm run build"},
        ),
        (
            {"go__mod": "module x\nrequire y v1\n"},
            "GOMODCACHE",
            {"vet": "go vet ./...", "test": "go test ./..."},
        ),
        ({"Cargo__toml": "[dependencies]\nserde = '1'\n"}, "CARGO_HOME", {"test": "cargo test"}),
        (
            {"pom__xml": "", "mvnw": ""},
            "",
            {"test": "./mvnw -B -Dmaven.repo.local=.m2 verify"},
        ),
        (
            {"build__gradle.kts": ""},
            "",
            {"test": "gradle --no-daemon -g .gradle-home check"},
        ),
        ({"Makefile": "VAR := x\nall:\ntest: all\n\techo\n"}, "", {"test": "make test"}),
        (
            {"Makefile": "check: test\ntest:\nlint:\n"},
            "",
            {"lint": "make lint", "check": "make check"},
        ),
        ({"Makefile": "all:\n"}, "", {"build": "make"}),
    ],
    ids=[
        *("unittest", "nothing-tested", "loose-unittest", "loose", "loose-pytest"),
        *("requirements", "pyproject", "pnpm", "npm-alone"),
        *("go", "rust", "maven", "gradle", "make-test", "make-check", "make"),
    ],
)  # fmt: skip
def test_a_checkout_is_known_by_its_files(files, setup, jobs):
    found = chosen(**files)
    assert runs(found) == jobs
    assert setup in "\n".join(found.setup)
    fetches = any(word in setup for word in ("install", "GOMOD", "CARGO"))
    assert bool(found.hosts) == (fetches or found.language == "Java")


@pytest.mark.parametrize(
    "hostile", ["[[[", '{"scripts": 7}', "[]", "[project]\ndependencies = 7", "\0"]
)
@pytest.mark.parametrize(
    "name", ["package.json", "pyproject.toml", "Cargo.toml", "Makefile", "go.mod"]
)
def test_what_cannot_be_read_is_no_reason_to_fail(name, hostile):
    found = toolchain_of({name}, lambda asked: hostile if asked == name else "")
    assert found is not None and found.jobs
    assert_fits(found)


def assert_fits(found: Toolchain) -> None:
    text = pipeline_text(found, "main")
    ast.parse(text)
    assert lint({".staunch/pipeline.py": text}, lambda _: None) == []


@pytest.mark.parametrize("folder", sorted(one.name for one in CHECKOUTS.iterdir()))
def test_lint_finds_nothing_in_what_is_written_and_a_formatter_changes_nothing(folder, tmp_path):
    top = CHECKOUTS / folder
    found = toolchain_of({one.name for one in top.iterdir()}, lambda name: read(top / name))
    assert found is not None
    assert_fits(found)
    (tmp_path / "pipeline.py").write_text(pipeline_text(found, "main"))
    subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", "--isolated", str(tmp_path)],
        check=True,
        capture_output=True,
    )


def read(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def test_where_nothing_is_known_there_is_something_to_edit():
    assert toolchain_of({"README.md"}, lambda _: "") is None
    assert_fits(NOTHING_KNOWN)


def test_other_languages_are_told_and_not_guessed_at():
    names = {"package.json", "pyproject.toml", "Makefile"}
    found = toolchain_of(names, lambda _: "")
    assert found is not None and found.language == "Node"
    assert others_of(names, lambda _: "", found) == ["Python"]
