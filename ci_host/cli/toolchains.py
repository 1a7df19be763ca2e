"""Toolchains: which tools a checkout is built and tested with, by the files at its top. Pure.

Each answers with the jobs that fit; `init.py` makes a pipeline of them.
"""

import json
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

# Reads a file at the top of the checkout; empty where there is none.
Read = Callable[[str], str]

_TARGET = re.compile(r"^([A-Za-z0-9][\w.-]*)\s*:(?!=)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FirstJob:
    """A job of the pipeline. `group`: those of one number are done side by side."""

    name: str
    run: str
    group: int = 0
    reports: str = ""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What is common to the jobs. `setup`: commands before each. `hosts`: what these fetch from;
    none: nothing is fetched. `cache`: name, folder, and the files that it belongs to."""

    language: str
    because: str
    jobs: list[FirstJob]
    setup: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    cache: tuple[str, str, list[str]] | None = None


def toolchain_of(names: Collection[str], read: Read) -> Toolchain | None:
    """The first that knows the checkout; `names` are the files and folders at its top."""
    for look in (_node, _rust, _go, _java, _python, _make, _loose_python):
        if (found := look(names, read)) is not None:
            return found
    return None


def others_of(names: Collection[str], read: Read, taken: Toolchain) -> list[str]:
    """Languages that are there too."""
    found = (look(names, read) for look in (_node, _rust, _go, _java, _python))
    return [one.language for one in found if one is not None and one.language != taken.language]


def _python(names: Collection[str], read: Read) -> Toolchain | None:
    markers = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "tox.ini")
    marker = next((name for name in markers if name in names), "")
    return _python_by(marker, names, read) if marker else None


def _loose_python(names: Collection[str], read: Read) -> Toolchain | None:
    """Where nothing says more, the code itself does: its tests before anything else."""
    code = sorted(name for name in names if name.endswith(".py"))
    if not code:
        return None
    return _python_by(next(filter(_is_test, code), code[0]), names, read)


def _python_by(marker: str, names: Collection[str], read: Read) -> Toolchain:
    told = _toml(read("pyproject.toml"))
    project = _table(told, "project")
    wanted = sorted(n for n in names if re.fullmatch(r"requirements[\w.-]*\.(txt|lock)", n))
    said = ["pyproject.toml", "setup.py", "setup.cfg", "tox.ini", *wanted]
    every = "\n".join(map(read, [*said, *sorted(filter(_is_test, names))]))
    has_pytest = "pytest" in every or "conftest.py" in names
    fetches = bool(wanted or project.get("dependencies") or has_pytest or "setup.py" in names)
    test = "python3 -m pytest --junit-xml=reports/pytest.xml" if has_pytest else _unittest(names)
    reports = "reports/*.xml" if has_pytest else ""
    jobs = [FirstJob("test", test, reports=reports)]
    if "ruff" in _table(told, "tool") or "ruff.toml" in names:
        jobs.insert(0, FirstJob("lint", "python3 -m ruff check ."))
        fetches = True
    if not fetches:
        return Toolchain("Python", marker, jobs)
    setup = ["python3 -m venv .venv", ". .venv/bin/activate", _pip(wanted, project, every)]
    hosts, files = ["pypi.org", "files.pythonhosted.org"], [*wanted, "pyproject.toml"]
    return Toolchain(
        "Python", marker, jobs, setup, hosts, ("pip", ".pip", [n for n in files if n in names])
    )


def _is_test(name: str) -> bool:
    return name.startswith("test") and name.endswith(".py")


def _unittest(names: Collection[str]) -> str:
    if any(map(_is_test, names)) or "tests" in names or "test" in names:
        return "python3 -m unittest"
    return "python3 -m compileall -q ."


def _pip(wanted: list[str], project: Mapping[str, Any], every: str) -> str:
    words = ["pip install --cache-dir .pip", *(f"-r {name}" for name in wanted)]
    if not wanted and project:
        extras = _table(project, "optional-dependencies")
        chosen = [name for name in ("test", "tests", "dev") if name in extras]
        words.append(f"-e '.[{','.join(chosen)}]'" if chosen else "-e .")
    words += [tool for tool in ("pytest", "ruff") if tool in every]
    return " ".join(words)


def _node(names: Collection[str], read: Read) -> Toolchain | None:
    if "package.json" not in names:
        return None
    told = _json(read("package.json"))
    scripts = _table(told, "scripts")
    lock, tool, install = next(
        (one for one in _NODE_TOOLS if one[0] in names), ("", "npm", "npm install")
    )
    jobs = [
        FirstJob(name, f"{tool} run {name}", group)
        for name, group in (("lint", 0), ("typecheck", 0), ("test", 0), ("build", 1))
        if name in scripts and "no test specified" not in str(scripts[name])
    ]
    jobs = jobs or [FirstJob("install", f"{tool} --version")]
    if not any(told.get(kind) for kind in ("dependencies", "devDependencies")):
        return Toolchain("Node", "package.json", jobs)
    hosts = ["registry.npmjs.org", "registry.yarnpkg.com"] if tool == "yarn" else [_NPM]
    files = [lock or "package.json"]
    return Toolchain("Node", "package.json", jobs, [install], hosts, ("npm", ".npm", files))


_NPM = "registry.npmjs.org"
_NODE_TOOLS = (
    ("pnpm-lock.yaml", "pnpm", "pnpm install --frozen-lockfile --store-dir .npm"),
    ("yarn.lock", "yarn", "yarn install --frozen-lockfile --cache-folder .npm"),
    ("package-lock.json", "npm", "npm ci --cache .npm"),
)


def _go(names: Collection[str], read: Read) -> Toolchain | None:
    if "go.mod" not in names:
        return None
    setup = [
        # Where Go's own installer puts it, which is on no path.
        'export PATH="$PATH:/usr/local/go/bin"',
        'export GOMODCACHE="$PWD/.go/mod" GOCACHE="$PWD/.go/build" GOFLAGS=-modcacherw',
    ]
    jobs = [FirstJob("vet", "go vet ./..."), FirstJob("test", "go test ./...")]
    fetches = "require" in read("go.mod")
    hosts = ["proxy.golang.org", "sum.golang.org"] if fetches else []
    files = [name for name in ("go.mod", "go.sum") if name in names]
    return Toolchain("Go", "go.mod", jobs, setup, hosts, ("go", ".go", files))


def _rust(names: Collection[str], read: Read) -> Toolchain | None:
    if "Cargo.toml" not in names:
        return None
    told = _toml(read("Cargo.toml"))
    kinds = ("dependencies", "dev-dependencies", "build-dependencies", "workspace")
    fetches = any(_table(told, kind) for kind in kinds)
    locked = " --locked" if "Cargo.lock" in names else ""
    offline = "" if fetches else " --offline"
    setup = ['export CARGO_HOME="$PWD/.cargo-home"']
    hosts = ["index.crates.io", "static.crates.io"] if fetches else []
    files = [name for name in ("Cargo.toml", "Cargo.lock") if name in names]
    jobs = [FirstJob("test", f"cargo test{locked}{offline}")]
    kept = ("cargo", ".cargo-home", files) if fetches else None
    return Toolchain("Rust", "Cargo.toml", jobs, setup, hosts, kept)


def _java(names: Collection[str], _read: Read) -> Toolchain | None:
    hosts = ["repo.maven.apache.org", "repo1.maven.org"]
    if "pom.xml" in names:
        tool = "./mvnw" if "mvnw" in names else "mvn"
        run = f"{tool} -B -Dmaven.repo.local=.m2 verify"
        job = FirstJob("test", run, reports="**/target/surefire-reports/*.xml")
        return Toolchain("Java", "pom.xml", [job], [], hosts, ("maven", ".m2", ["pom.xml"]))
    gradle = next((n for n in ("build.gradle", "build.gradle.kts") if n in names), "")
    if not gradle:
        return None
    tool = "./gradlew" if "gradlew" in names else "gradle"
    run = f"{tool} --no-daemon -g .gradle-home check"
    job = FirstJob("test", run, reports="**/build/test-results/**/*.xml")
    hosts = [*hosts, "plugins.gradle.org", "services.gradle.org"]
    return Toolchain("Java", gradle, [job], [], hosts, ("gradle", ".gradle-home", [gradle]))


def _make(names: Collection[str], read: Read) -> Toolchain | None:
    marker = next((n for n in ("GNUmakefile", "makefile", "Makefile") if n in names), "")
    if not marker:
        return None
    targets = _TARGET.findall(read(marker))
    wanted = [name for name in ("lint", "check", "test") if name in targets]
    # The one holds the other, in nearly every Makefile that has both.
    chosen = wanted[:-1] if "check" in wanted and "test" in wanted else wanted
    jobs = [FirstJob(name, f"make {name}") for name in chosen]
    return Toolchain("make", marker, jobs or [FirstJob("build", "make")])


def _toml(text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}


def _json(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _table(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = told.get(name, {})
    return found if isinstance(found, Mapping) else {}
