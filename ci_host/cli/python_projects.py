"""Python projects: how one is installed and tested, by its files. Pure.

What is installed is what the project says of itself, by the tool that it is kept with. Tests are
run by what finds them: `unittest` looks only into packages, and is green where it finds none.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from ci_host.cli.first_jobs import Files, FirstJob, Toolchain, table, texts, toml_of

MARKERS = (
    *("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "manage.py"),
    "tox.ini",
)
TESTS_READ_MAX = 50
# Folders to begin with; of a repository with more pytest finds them by itself.
ROOTS_MAX = 3
HOSTS = ["pypi.org", "files.pythonhosted.org"]
PIP = "pip install --cache-dir .pip"
TOOLS = ".venv/tools/bin"
FOR_TESTS = ("test", "tests", "testing", "dev")
LOCKS = ("poetry.lock", "uv.lock", "Pipfile", "Pipfile.lock")
# What a folder of requirements calls those that are wanted here: for all, and for tests.
COMMON = ("base", "common", "main", "requirements")
OF_TESTS = ("test", "tests", "testing", "ci", "dev", "develop", "development", "local")
# Not what was installed: there are files among it that are wrong on purpose.
COMPILE = "python3 -m compileall -q -x '/[.]' ."
PYTEST = "python3 -m pytest --junit-xml=reports/pytest.xml"

_REQUIREMENTS = re.compile(r"[\w.-]*requirements[\w.-]*\.(txt|lock)")
_TEST = re.compile(r"(tests?|test_.*|test[A-Z0-9].*|.*_test)\.py")
_REQUIREMENT = re.compile(r"[\w.\-\[\], <>=!~;'\"()@:/+&*]+")
_URL = re.compile(
    r"^(?!\s*#).*?https?://(?:[^/\s@]*@)?((?:[a-z0-9-]+\.)+[a-z]+)[/\s]", re.MULTILINE
)
# What setuptools never takes for the package, where nothing says which it is.
_ASIDE = re.compile(
    r"ci|bin|debian|docs?|documentation|manpages|news|newsfragments|changelog|tests?|unit_?tests?"
    r"|examples?|scripts|tools|utils?|python|build|benchmarks?|exercises?|htmlcov|tasks|fabfile"
    r"|site_scons|setup|conftest|toxfile|noxfile|manage|[._].*"
)


@dataclass(frozen=True, slots=True)
class _Manager:
    """A tool that installs a project by its own lock file, into the environment that is active."""

    name: str
    install: str


def python(files: Files) -> Toolchain | None:
    """One that says itself that it is Python."""
    marker = files.there(*MARKERS)
    return _project(marker[0], files) if marker else None


def loose_python(files: Files) -> Toolchain | None:
    """Where nothing says more, the code itself does: its tests before anything else."""
    found = [*_tests(files), *(name for name in files.at_top() if name.endswith(".py"))]
    return _project(found[0], files) if found else None


def _project(marker: str, files: Files) -> Toolchain:
    told = toml_of(files.read("pyproject.toml"))
    wanted = _wanted(files)
    test = _test(files, wanted)
    is_linted = "ruff" in table(told, "tool") or bool(files.there("ruff.toml", ".ruff.toml"))
    tools = ["pytest"] if test is not None and "pytest" in test.run else []
    tools += ["ruff"] if is_linted else []
    install = _install(files, told, wanted, tools)
    if test is not None and "src" in files.folders() and not _is_installed(install):
        # Nothing else makes what is in there known.
        test = replace(test, run=test.run.replace("python3", "PYTHONPATH=src python3"))
    jobs = [test or FirstJob("compile", COMPILE)]
    if is_linted:
        # What is wrong with a pipeline `staunch lint` says.
        jobs.insert(0, FirstJob("lint", "python3 -m ruff check . --extend-exclude .staunch"))
    if not install:
        return Toolchain("Python", marker, jobs)
    setup = ["python3 -m venv .venv", ". .venv/bin/activate", *install]
    elsewhere = {host for name in wanted for host in _URL.findall(files.read(name))}
    hosts = [*HOSTS, *sorted(elsewhere - {*HOSTS})]
    belongs = [*wanted, *files.there("pyproject.toml", "setup.py", "setup.cfg", *LOCKS)]
    return Toolchain("Python", marker, jobs, setup, hosts, ("pip", ".pip", belongs or [marker]))


def _wanted(files: Files) -> list[str]:
    """Files of requirements: those at the top, or of their folder those for all and for tests."""
    if found := [name for name in files.at_top() if _REQUIREMENTS.fullmatch(name)]:
        return found
    kinds = ([f"requirements/{one}.txt" for one in names] for names in (COMMON, OF_TESTS))
    return [one for names in kinds for one in files.there(*names)[:1]]


# How it is tested.


def _tests(files: Files) -> list[str]:
    return [name for name in files.own() if _TEST.fullmatch(PurePosixPath(name).name)]


def _test(files: Files, wanted: list[str]) -> FirstJob | None:
    """None: there are no tests to run."""
    tests = _tests(files)
    at_top = ["pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "pytest.ini", *LOCKS]
    said = "\n".join(map(files.read, [*at_top, *wanted]))
    code = "\n".join(map(files.read, tests[:TESTS_READ_MAX]))
    configured = any(PurePosixPath(n).name in ("conftest.py", "pytest.ini") for n in files.own())
    by_pytest = configured or "pytest" in said + code
    if "manage.py" in files.names and not by_pytest:
        command = "test" if tests else "check"
        return FirstJob(command, f"python3 manage.py {command}")
    is_plain = "unittest" in code or "TestCase" in code
    if by_pytest:
        is_any = bool(tests) or re.search("python_files|doctest", said) is not None
    else:
        is_any = is_plain or ("def test" in code and any(map(_is_found, tests)))
    if not is_any:
        return None
    roots = _roots(tests, files)
    if by_pytest or not is_plain or not roots or len(roots) > ROOTS_MAX:
        return FirstJob("test", PYTEST, reports="reports/*.xml")
    found = (f" discover -s {shlex.quote(root)}" if root else "" for root in roots)
    return FirstJob("test", " && ".join(f"python3 -m unittest{one}" for one in found))


def _is_found(name: str) -> bool:
    """Whether pytest takes the file for a test where nothing is configured."""
    file = PurePosixPath(name).name
    return file.startswith("test_") or file.endswith("_test.py")


def _roots(tests: list[str], files: Files) -> list[str]:
    """The folders in which `unittest` finds all of these, "" for the top; none: it finds not all.

    From where it begins it goes only into packages, and takes only names that begin with test.
    """
    found = set()
    for name in tests:
        folder = PurePosixPath(name).parent
        while f"{folder}/__init__.py" in files.names:
            folder = folder.parent
        found.add("" if str(folder) == "." else str(folder))
        if not PurePosixPath(name).name.startswith("test"):
            return []
    return sorted(found)


# How it is installed.


def _install(
    files: Files, told: Mapping[str, Any], wanted: list[str], tools: list[str]
) -> list[str]:
    """Commands that install the project, what it needs, and these tools; none: nothing is."""
    manager = _manager(files, told)
    if manager is not None:
        # In an environment of its own, which takes nothing from the project's.
        return [
            "python3 -m venv .venv/tools",
            f"{TOOLS}/{PIP} {manager.name}",
            manager.install,
            *([f"{PIP} {' '.join(tools)}"] if tools else []),
        ]
    groups = [one for one in FOR_TESTS if one in table(told, "dependency-groups")]
    first = [f"-r {name}" for name in wanted]
    rest = [*_package(files, told), *(f"--group {one}" for one in groups), *tools]
    # A file with hashes is refused together with anything that has none.
    is_hashed = any("--hash=" in files.read(name) for name in wanted)
    parts = [first, rest] if is_hashed else [[*first, *rest]]
    commands = [f"{PIP} {' '.join(words)}" for words in parts if words]
    # Only a pip of 2025 knows groups.
    return [f"{PIP} --upgrade pip", *commands] if groups else commands


def _is_installed(commands: list[str]) -> bool:
    """Whether the project itself is, and not only what it needs."""
    return any(" -e " in one or f"{TOOLS}/" in one for one in commands)


def _manager(files: Files, told: Mapping[str, Any]) -> _Manager | None:
    extras = [one for one in FOR_TESTS if one in table(told, "project", "optional-dependencies")]
    extras += [one for one in FOR_TESTS if one in table(told, "tool", "poetry", "extras")]
    if "uv.lock" in files.names:
        named = "".join(f" --extra {one}" for one in extras)
        install = f"{TOOLS}/uv sync --locked --inexact --cache-dir .pip/uv{named}"
        return _Manager("uv", install)
    if "poetry.lock" in files.names or "poetry" in table(told, "tool"):
        named = "".join(f" --extras {one}" for one in extras)
        kept = 'POETRY_CACHE_DIR="$PWD/.pip/poetry"'
        return _Manager("poetry", f"{kept} {TOOLS}/poetry install --no-interaction{named}")
    if "Pipfile" in files.names and "project" not in told:
        command = "sync" if "Pipfile.lock" in files.names else "install"
        kept = 'PIPENV_CACHE_DIR="$PWD/.pip/pipenv"'
        return _Manager("pipenv", f"{kept} {TOOLS}/pipenv {command} --dev")
    return None


def _package(files: Files, told: Mapping[str, Any]) -> list[str]:
    """What pip is given so that the project itself can be imported, with what it needs."""
    project = table(told, "project")
    listed = table(project, "optional-dependencies")
    extras = [one for one in FOR_TESTS if one in listed or _has_extra(files, one)]
    whole = f"-e '.[{','.join(extras)}]'" if extras else "-e ."
    if "setup.py" in files.names or "build-system" in told:
        return [whole]
    needed = texts(project.get("dependencies"))
    needed += [one for extra in extras for one in texts(listed.get(extra))]
    if not needed:
        return []
    if _is_one_package(files, told) or not all(map(_REQUIREMENT.fullmatch, needed)):
        return [whole]
    # Only a list of what it needs: it could not be built, and is imported from where it is.
    return [shlex.quote(one) for one in needed]


def _has_extra(files: Files, name: str) -> bool:
    """What is no extra after all is only a warning of pip's."""
    _, _, options = files.read("setup.cfg").partition("[options.extras_require]")
    _, _, code = files.read("setup.py").partition("extras_require")
    in_options = re.search(rf"^{name}\s*=", options, re.MULTILINE)
    return bool(in_options or re.search(rf"""['"]{name}['"]\s*:""", code))


def _is_one_package(files: Files, told: Mapping[str, Any]) -> bool:
    """Whether setuptools can tell what the package is, which refuses to choose among several."""
    if "src" in files.folders() or "setuptools" in table(told, "tool"):
        return True
    code = [name.removesuffix(".py") for name in files.at_top() if name.endswith(".py")]
    kinds = [
        [one for one in names if one.isidentifier() and not _ASIDE.fullmatch(one)]
        for names in (files.folders(), code)
    ]
    return len(kinds[0] or kinds[1]) <= 1
