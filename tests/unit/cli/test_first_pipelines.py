"""First pipelines: what `staunch init` makes of the files of a checkout."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from ci_host.cli.first_jobs import Files, Toolchain
from ci_host.cli.init import NOTHING_KNOWN, pipeline_text
from ci_host.cli.toolchains import others_of, toolchain_of
from pipelines.lint.check import lint

CHECKOUTS = Path(__file__).parents[2] / "checkouts"
UNIT = "import unittest\n"
PACKAGE = '{"scripts": {"lint": "eslint .", "test": "vitest", "build": "vite build"}, %s}'
VITEST = '{"devDependencies": {"vitest": "3"}}'
MEMBERS = '{"workspaces": ["packages/*"]}'
MEMBER = '{"scripts": {"test": "node --test"}}'
PYTEST = "python3 -m pytest --junit-xml=reports/pytest.xml"
COMPILE = "python3 -m compileall -q -x '/[.]' ."
POETRY = "[tool.poetry]\nname = 'shop'\n[build-system]\nrequires = ['poetry-core']\n"
MAVEN = "-B -Dmaven.repo.local=.m2 verify"
GRADLE = "--no-daemon -g .gradle-home check"


def files(given: dict[str, str], *programs: str) -> Files:
    return Files(given, lambda name: given.get(name, ""), programs)


def chosen(given: dict[str, str], *programs: str) -> Toolchain:
    found = toolchain_of(files(given, *programs))
    assert found is not None
    assert_fits(found)
    return found


def assert_fits(found: Toolchain) -> None:
    text = pipeline_text(found, "main")
    ast.parse(text)
    assert lint({".staunch/pipeline.py": text}, lambda _: None) == []


def runs(found: Toolchain) -> dict[str, str]:
    return {job.name: job.run for job in found.jobs}


def installs(found: Toolchain) -> list[str]:
    """What is installed, behind what makes the place for it."""
    ready = ("python3 -m venv .venv", ". .venv/bin/activate")
    return [line.removeprefix("pip install --cache-dir .pip ") for line in found.setup
            if line not in ready]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "test"),
    [
        ({"tests/__init__.py": "", "tests/test_a.py": UNIT}, "python3 -m unittest"),
        ({"tests/test_a.py": UNIT}, "python3 -m unittest discover -s tests"),
        ({"tests/unit/test_a.py": UNIT}, "python3 -m unittest discover -s tests/unit"),
        (
            {"a b/test_a.py": UNIT, "test_b.py": UNIT},
            "python3 -m unittest && python3 -m unittest discover -s 'a b'",
        ),
        (
            {"tests/unit/__init__.py": "", "tests/unit/test_a.py": UNIT},
            "python3 -m unittest discover -s tests",
        ),
        ({f"tests/{n}/test_a.py": UNIT for n in range(4)}, PYTEST),
        ({"tests/cart_test.py": UNIT}, PYTEST),
        ({"tests/test_a.py": "def test_a(): ...\n"}, PYTEST),
        ({"tests/test_a.py": UNIT, "tests/conftest.py": ""}, PYTEST),
        ({"tests/test_a.py": UNIT, "pyproject.toml": "[tool.pytest.ini_options]\n"}, PYTEST),
        ({"manage.py": "", "shop/tests.py": "from django.test import TestCase\n"},
         "python3 manage.py test"),
        ({"manage.py": "", "shop/tests.py": "", "pytest.ini": ""}, PYTEST),
    ],
    ids=[
        *("a-package", "no-package", "deep", "two-places", "a-package-below", "many-places"),
        *("other-names", "no-unittest", "conftest", "configured", "django", "django-by-pytest"),
    ],
)  # fmt: skip
def test_the_tests_that_are_there_are_run_by_what_finds_them(given, test):
    assert runs(chosen({"setup.cfg": "", **given})) == {"test": test}


@pytest.mark.parametrize(
    "given",
    [
        {"setup.cfg": ""},
        {"a.py": ""},
        {"pyproject.toml": "[tool.pytest.ini_options]\n"},
        {"test.py": "print('not one that a tool would find')\n"},
        {"a.py": "", "node_modules/x/test_a.py": UNIT},
    ],
    ids=["nothing", "loose", "pytest-without-tests", "a-script", "tests-of-others"],
)
def test_where_python_has_no_tests_its_files_are_compiled(given):
    assert runs(chosen(given)) == {"compile": COMPILE}


@pytest.mark.parametrize(
    ("given", "installed"),
    [
        ({"test_a.py": "import pytest"}, ["pytest"]),
        ({"requirements.txt": "flask\n"}, ["-r requirements.txt"]),
        ({"requirements/base.txt": "", "requirements/dev.txt": "", "manage.py": ""},
         ["-r requirements/base.txt -r requirements/dev.txt"]),
        ({"setup.py": "setup()"}, ["-e ."]),
        ({"setup.py": "setup(extras_require={'test': ['tox']})", "conftest.py": "",
          "test_a.py": ""}, ["-e '.[test]' pytest"]),
        ({"setup.py": "setup()", "setup.cfg": "[options.extras_require]\ndev =\n  mock\n"},
         ["-e '.[dev]'"]),
        ({"setup.py": "", "requirements.txt": "pytest\n", "test_a.py": ""},
         ["-r requirements.txt -e . pytest"]),
        ({"setup.py": "", "requirements.txt": "pytest==8 \\\n  --hash=sha256:0", "test_a.py": ""},
         ["-r requirements.txt", "-e . pytest"]),
        ({"pyproject.toml": "[build-system]\nrequires = ['hatchling']\n"}, ["-e ."]),
        ({"pyproject.toml": "[project]\ndependencies = ['flask']\n[tool.ruff]\n"
          "[project.optional-dependencies]\ntest = ['pytest']\n", "test_a.py": ""},
         ["-e '.[test]' pytest ruff"]),
        ({"pyproject.toml": "[project]\ndependencies = ['flask>=3', 'httpx']\n",
          "app/a.py": "", "migrations/b.py": ""}, ["'flask>=3' httpx"]),
        ({"pyproject.toml": "[project]\nname = 'shop'\n", "shop/a.py": ""}, []),
        ({"pyproject.toml": "[build-system]\n[dependency-groups]\ndev = ['pytest', 'mock']\n",
          "test_a.py": ""}, ["--upgrade pip", "-e . --group dev pytest"]),
        ({"pyproject.toml": POETRY, "test_a.py": UNIT},
         ["python3 -m venv .venv/tools", ".venv/tools/bin/pip install --cache-dir .pip poetry",
          'POETRY_CACHE_DIR="$PWD/.pip/poetry" .venv/tools/bin/poetry install --no-interaction']),
        ({"pyproject.toml": "[project]\n", "uv.lock": "name = 'pytest'", "test_a.py": ""},
         ["python3 -m venv .venv/tools", ".venv/tools/bin/pip install --cache-dir .pip uv",
          ".venv/tools/bin/uv sync --locked --inexact --cache-dir .pip/uv", "pytest"]),
        ({"Pipfile": "", "Pipfile.lock": "{}"},
         ["python3 -m venv .venv/tools", ".venv/tools/bin/pip install --cache-dir .pip pipenv",
          'PIPENV_CACHE_DIR="$PWD/.pip/pipenv" .venv/tools/bin/pipenv sync --dev']),
    ],
    ids=[
        *("pytest-alone", "requirements", "folder-of-them", "setup", "setup-extras", "cfg-extras"),
        *("both", "hashes", "build-system", "project", "two-packages", "needs-nothing", "groups"),
        *("poetry", "uv", "pipenv"),
    ],
)  # fmt: skip
def test_a_python_project_is_installed_with_all_that_it_needs(given, installed):
    found = chosen(given)
    assert installs(found) == installed
    assert bool(found.hosts) == bool(installed)
    assert found.cache is None or set(found.cache[2]) <= set(given)


@pytest.mark.parametrize(
    ("given", "before"),
    [
        ({"pyproject.toml": "[project]\nname = 'shop'\n"}, "PYTHONPATH=src "),
        ({"requirements.txt": "flask\n"}, "PYTHONPATH=src "),
        ({"setup.py": "setup()"}, ""),
        ({"pyproject.toml": POETRY}, ""),
    ],
    ids=["needs-nothing", "requirements", "installed", "poetry"],
)
def test_what_is_in_src_can_be_imported_by_its_tests(given, before):
    found = chosen({"src/shop/a.py": "", "tests/test_a.py": UNIT, **given})
    assert runs(found) == {"test": f"{before}python3 -m unittest discover -s tests"}


def test_requirements_from_elsewhere_are_fetched_from_there():
    given = "# https://no.example/\n--extra-index-url https://me@wheels.example/cpu\na @ git+https://forge.example/a\n"
    found = chosen({"requirements.txt": given})
    assert found.hosts == [
        *("pypi.org", "files.pythonhosted.org", "forge.example", "wheels.example"),
    ]


@pytest.mark.parametrize(
    ("given", "setup", "jobs"),
    [
        (
            {"package.json": PACKAGE % '"devDependencies": {"a": "1"}', "pnpm-lock.yaml": ""},
            "pnpm install --frozen-lockfile --store-dir .npm",
            {"lint": "pnpm run lint", "test": "pnpm run test", "build": "pnpm run build"},
        ),
        (
            {"package.json": PACKAGE % '"dependencies": {}'},
            "",
            {"lint": "npm run lint", "test": "npm run test", "build": "npm run build"},
        ),
        (
            {"package.json": VITEST, "yarn.lock": "# yarn lockfile v1", "src/a.test.ts": ""},
            "yarn install --frozen-lockfile --cache-folder .npm",
            {"test": "yarn run vitest run"},
        ),
        (
            {"package.json": VITEST, "yarn.lock": "__metadata:", "src/a.test.ts": ""},
            "yarn install --immutable",
            {"test": "yarn run vitest run"},
        ),
        (
            {"package.json": VITEST, "src/__tests__/a.tsx": ""},
            "npm install --cache .npm",
            {"test": "npx --no-install vitest run"},
        ),
        ({"package.json": '{"scripts": {"test": "echo no test specified; exit 1"}}',
          "test/a.js": ""}, "", {"test": "node --test"}),
        (
            {"package.json": MEMBERS, "package-lock.json": "{}", "packages/a/package.json": MEMBER},
            "npm ci --cache .npm",
            {"test": "npm test --workspaces --if-present"},
        ),
        ({"package.json": VITEST, "bun.lock": ""}, "bun install", {"install": "bun --version"}),
    ],
    ids=["pnpm", "npm", "yarn", "berry", "jsx", "no-script", "workspaces", "no-tests"],
)  # fmt: skip
def test_a_node_project_is_installed_and_tested_by_its_own_tools(given, setup, jobs):
    found = chosen(given)
    assert runs(found) == jobs
    assert setup in "\n".join(found.setup)
    assert bool(found.hosts) == bool(setup)


@pytest.mark.parametrize(
    ("given", "jobs"),
    [
        ({"package.json": VITEST, "test_a.py": UNIT}, {"test": "python3 -m unittest"}),
        ({"package.json": VITEST, "go.mod": "", "a_test.go": ""},
         {"vet": "go vet ./...", "test": "go test ./..."}),
    ],
    ids=["python", "go"],
)  # fmt: skip
def test_a_package_json_that_only_brings_tools_hides_no_language(given, jobs):
    assert runs(chosen(given)) == jobs


@pytest.mark.parametrize(
    ("given", "setup", "jobs"),
    [
        ({"go.mod": "module x\nrequire y v1\n", "x_test.go": ""}, "GOMODCACHE",
         {"vet": "go vet ./...", "test": "go test ./..."}),
        ({"go.mod": "module x\n"}, "", {"vet": "go vet ./...", "build": "go build ./..."}),
        ({"go.mod": "require y v1", "vendor/modules.txt": "", "vendor/y/y_test.go": ""}, "",
         {"vet": "go vet ./...", "build": "go build ./..."}),
        ({"Cargo.toml": "[dependencies]\nserde = '1'\n"}, "CARGO_HOME", {"test": "cargo test"}),
        ({"Cargo.toml": "[target.'cfg(unix)'.dependencies]\nlibc = '0.2'\n"}, "CARGO_HOME",
         {"test": "cargo test"}),
        ({"Cargo.toml": "[dependencies]\na = {path = 'a'}\n", "Cargo.lock": "version = 4"}, "",
         {"test": "cargo test --locked --offline"}),
        ({"Cargo.toml": "[package]\n[workspace]\nmembers = ['a']\n"}, "CARGO_HOME",
         {"test": "cargo test --workspace"}),
    ],
    ids=[
        *("go", "go-without-tests", "go-vendored"),
        *("rust", "rust-targets", "rust-of-paths", "rust-workspace"),
    ],
)  # fmt: skip
def test_go_and_rust_test_all_that_they_have(given, setup, jobs):
    found = chosen(given)
    assert runs(found) == jobs
    assert bool(found.hosts) == bool(setup)
    assert setup in "\n".join(found.setup)


def test_a_crate_from_git_is_fetched_from_there():
    lock = 'source = "git+https://forge.example/a?rev=1#2"\n'
    found = chosen({"Cargo.toml": "[dependencies]\n", "Cargo.lock": lock})
    assert found.hosts == ["index.crates.io", "static.crates.io", "forge.example"]


@pytest.mark.parametrize(
    ("given", "setup", "test"),
    [
        ({"pom.xml": ""}, [], f"mvn {MAVEN}"),
        ({"pom.xml": "", "mvnw": ""}, [], f"mvn {MAVEN}"),
        ({"pom.xml": "", "mvnw": "", ".mvn/wrapper/maven-wrapper.properties": ""}, [],
         f"./mvnw {MAVEN}"),
        ({"build.gradle.kts": ""}, [], f"gradle {GRADLE}"),
        ({"settings.gradle": "", "app/build.gradle": ""}, [], f"gradle {GRADLE}"),
        ({"build.gradle": "", "gradlew": ""}, [], f"gradle {GRADLE}"),
        ({"build.gradle": "", "gradlew": "", "gradle/wrapper/gradle-wrapper.jar": ""}, [],
         f"./gradlew {GRADLE}"),
    ],
    ids=["mvn", "mvnw-alone", "mvnw", "gradle", "settings", "gradlew-alone", "gradlew"],
)  # fmt: skip
def test_java_is_built_by_its_wrapper_where_that_is_whole(given, setup, test):
    found = chosen(given, "mvnw", "gradlew")
    assert (runs(found), found.setup) == ({"test": test}, setup)
    assert ("services.gradle.org" in found.hosts) == ("gradlew" in test)


def test_a_wrapper_that_may_not_be_executed_is_made_so():
    given = {"build.gradle": "", "gradlew": "", "gradle/wrapper/gradle-wrapper.jar": ""}
    assert chosen(given).setup == ["chmod +x gradlew"]


@pytest.mark.parametrize(
    ("text", "jobs"),
    [
        ("VAR := x\nall:\ntest: all\n\techo\n", {"test": "make test"}),
        ("check: test\ntest:\nlint:\n", {"lint": "make lint", "check": "make check"}),
        ("check:\n\tmake tests\ntest:\n", {"check": "make check"}),
        ("check: fmt\ntest:\n\tcc\n", {"check": "make check", "test": "make test"}),
        ("lint test:\n\techo $@\n", {"lint": "make lint", "test": "make test"}),
        ("prog: a.o\n\tcc\nall: prog\n", {"all": "make all"}),
        ("lint:\n\tcc\nbuild:\n", {"lint": "make lint", "build": "make build"}),
        ("prog: a.o\n\tcc\n", {"build": "make"}),
        ("test ::= x\ncheck := y\nprog:\n", {"build": "make"}),
        ("include rules.mk\n", {"build": "make"}),
    ],
)
def test_make_makes_what_tests_or_builds(text, jobs):
    assert runs(chosen({"Makefile": text})) == jobs


@pytest.mark.parametrize("target", ["help", "run", "deploy-prod", "clean", "docker-push"])
def test_no_first_target_is_made_that_does_something_else(target):
    assert toolchain_of(files({"Makefile": f"{target}:\n\techo\n"})) is None
    assert runs(chosen({"Makefile": f"{target}:\n\techo\n", "test_a.py": UNIT})) == {
        "test": "python3 -m unittest"
    }


@pytest.mark.parametrize(
    "hostile",
    [
        *("[[[", '{"scripts": 7}', "[]", "[project]\ndependencies = 7", "\0"),
        '[project]\ndependencies = [\'"""\\nimport os\']\n[build]\n',
        "[tool]\npoetry = 3\n[project]\noptional-dependencies = ['test']\n",
        '{"workspaces": 7, "devDependencies": ["jest"], "scripts": {"test": ["no"]}}',
        "[target]\nx = 7\n[workspace]\n",
        "-r https://\n-i https://@/\n" + "a " * 10_000,
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        *("package.json", "pyproject.toml", "Cargo.toml", "Cargo.lock", "Makefile", "go.mod"),
        *("requirements.txt", "setup.py", "setup.cfg"),
    ],
)
def test_what_cannot_be_read_is_no_reason_to_fail(name, hostile):
    given = {name: hostile, "a/x.py": "", "b/y.py": "", "test/a.js": ""}
    found = toolchain_of(files(given)) or NOTHING_KNOWN
    assert found.jobs
    assert_fits(found)


@pytest.mark.parametrize("folder", sorted(one.name for one in CHECKOUTS.iterdir()))
def test_lint_finds_nothing_in_what_is_written_and_a_formatter_changes_nothing(folder, tmp_path):
    top = CHECKOUTS / folder
    paths = [one for one in top.rglob("*") if one.is_file()]
    found = chosen({one.relative_to(top).as_posix(): one.read_text() for one in paths})
    (tmp_path / "pipeline.py").write_text(pipeline_text(found, "main"))
    subprocess.run(
        [sys.executable, "-m", "ruff", "format", "--check", "--isolated", str(tmp_path)],
        check=True,
        capture_output=True,
    )


def test_a_branch_of_any_name_is_named():
    text = pipeline_text(NOTHING_KNOWN, 'a"b')
    assert "branches=['a\"b']" in text
    assert lint({".staunch/pipeline.py": text}, lambda _: None) == []


def test_where_nothing_is_known_there_is_something_to_edit():
    assert toolchain_of(files({"README.md": "", "package.json": "{}"})) is None
    assert_fits(NOTHING_KNOWN)


def test_other_languages_are_told_and_not_guessed_at():
    given = files({"package.json": MEMBER, "pyproject.toml": "", "Makefile": ""})
    found = toolchain_of(given)
    assert found is not None and found.language == "Node"
    assert others_of(given, found) == ["Python"]
