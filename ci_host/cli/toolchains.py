"""Toolchains: which tools a checkout is built and tested with, by its files. Pure.

Each answers with the jobs that fit; `init.py` makes a pipeline of them. Python and Node, which have
many tools, are `python_projects.py`'s and `node_projects.py`'s.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ci_host.cli.first_jobs import Files, FirstJob, Toolchain, table, toml_of
from ci_host.cli.node_projects import bare_node, node
from ci_host.cli.python_projects import loose_python, python

CRATES = ["index.crates.io", "static.crates.io"]
MAVEN = ["repo.maven.apache.org", "repo1.maven.org"]
# Where Gradle's own wrapper is sent on to.
GRADLE = [
    *("services.gradle.org", "downloads.gradle.org", "github.com"),
    "*.githubusercontent.com",
]
# What a first target may do that no pipeline should.
_NO_BUILD = re.compile(
    r"help|usage|run.*|start.*|serve.*|watch.*|up|down|dev.*|deploy.*|install.*|clean.*"
    r"|release.*|publish.*|push.*|setup.*|init.*|fmt|format|venv|docker.*"
)
# Its targets, and all the rest: what it needs, and the lines below.
_RULE = re.compile(r"^([A-Za-z0-9][\w.\- ]*?) *::?(?![:=])(.*\n?(?:\t.*\n?)*)", re.MULTILINE)


def toolchain_of(files: Files) -> Toolchain | None:
    """The first that knows the checkout."""
    for look in (node, _rust, _go, _java, python, _make, loose_python, bare_node):
        if (found := look(files)) is not None:
            return found
    return None


def others_of(files: Files, taken: Toolchain) -> list[str]:
    """Languages that are there too."""
    found = (look(files) for look in (node, _rust, _go, _java, python))
    return [one.language for one in found if one is not None and one.language != taken.language]


def _go(files: Files) -> Toolchain | None:
    if "go.mod" not in files.names:
        return None
    setup = [
        # Where Go's own installer puts it, which is on no path.
        'export PATH="$PATH:/usr/local/go/bin"',
        'export GOMODCACHE="$PWD/.go/mod" GOCACHE="$PWD/.go/build" GOFLAGS=-modcacherw',
    ]
    is_tested = any(name.endswith("_test.go") for name in files.own())
    jobs = [FirstJob("vet", "go vet ./...")]
    jobs.append(
        FirstJob("test", "go test ./...") if is_tested else FirstJob("build", "go build ./...")
    )
    fetches = "require" in files.read("go.mod") and "vendor/modules.txt" not in files.names
    hosts = ["proxy.golang.org", "sum.golang.org"] if fetches else []
    kept = ("go", ".go", files.there("go.mod", "go.sum"))
    return Toolchain("Go", "go.mod", jobs, setup, hosts, kept)


def _rust(files: Files) -> Toolchain | None:
    if "Cargo.toml" not in files.names:
        return None
    told, lock = toml_of(files.read("Cargo.toml")), files.read("Cargo.lock")
    # What is locked is all that there is; else what may be.
    fetches = 'source = "' in lock if lock else any(_crates(told))
    words = ["cargo test"]
    words += ["--workspace"] if "workspace" in told else []
    words += ["--locked"] if lock else []
    words += [] if fetches else ["--offline"]
    setup = ['export CARGO_HOME="$PWD/.cargo-home"']
    elsewhere = {*re.findall(r'"git\+https://((?:[a-z0-9-]+\.)+[a-z]+)/', lock)}
    hosts = [*CRATES, *sorted(elsewhere)] if fetches else []
    belongs = files.there("Cargo.toml", "Cargo.lock")
    kept = ("cargo", ".cargo-home", belongs) if fetches else None
    return Toolchain("Rust", "Cargo.toml", [FirstJob("test", " ".join(words))], setup, hosts, kept)


def _crates(told: Mapping[str, Any]) -> Iterator[bool]:
    """Whether a manifest names crates, in each place in which it may."""
    targets = table(told, "target")
    for one in (told, *(table(targets, name) for name in targets)):
        for kind in ("dependencies", "dev-dependencies", "build-dependencies", "workspace"):
            yield bool(table(one, kind))


def _java(files: Files) -> Toolchain | None:
    if "pom.xml" in files.names:
        setup, tool = _wrapper(files, "mvn", "mvnw", ".mvn/wrapper/maven-wrapper.properties")
        run = f"{tool} -B -Dmaven.repo.local=.m2 verify"
        job = FirstJob("test", run, reports="**/target/surefire-reports/*.xml")
        return Toolchain("Java", "pom.xml", [job], setup, MAVEN, ("maven", ".m2", ["pom.xml"]))
    marks = ("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")
    found = files.there(*marks)
    if not found:
        return None
    setup, tool = _wrapper(files, "gradle", "gradlew", "gradle/wrapper/gradle-wrapper.jar")
    run = f"{tool} --no-daemon -g .gradle-home check"
    job = FirstJob("test", run, reports="**/build/test-results/**/*.xml")
    hosts = [*MAVEN, "plugins.gradle.org", *(GRADLE if tool != "gradle" else [])]
    kept = ("gradle", ".gradle-home", found)
    return Toolchain("Java", found[0], [job], setup, hosts, kept)


def _wrapper(files: Files, tool: str, script: str, needed: str) -> tuple[list[str], str]:
    """What makes it ready, and the command: the checkout's own, if it is there with what it needs,
    which a .gitignore may have kept out."""
    if script not in files.names or needed not in files.names:
        return [], tool
    # As whoever commits on Windows leaves it.
    return [] if script in files.programs else [f"chmod +x {script}"], f"./{script}"


def _make(files: Files) -> Toolchain | None:
    marker = files.there("GNUmakefile", "makefile", "Makefile")
    if not marker:
        return None
    found = _RULE.findall(files.read(marker[0]))
    rules = {name: rule for names, rule in reversed(found) for name in names.split()}
    wanted = [name for name in ("lint", "check", "test") if name in rules]
    # The one holds the other, in nearly every Makefile that has both.
    if "check" in wanted and "test" in wanted and re.search(r"\btest", rules["check"]):
        wanted.remove("test")
    if "check" not in wanted and "test" not in wanted:
        wanted += [name for name in ("all", "build") if name in rules][:1]
    if not wanted:
        # The first of its targets.
        first = found[0][0].split()[0] if found else ""
        wanted = [] if _NO_BUILD.fullmatch(first) else [""]
    jobs = [FirstJob(name or "build", f"make {name}".strip()) for name in wanted]
    return Toolchain("make", marker[0], jobs) if jobs else None
