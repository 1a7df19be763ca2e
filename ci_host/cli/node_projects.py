"""Node projects: how one is installed and tested, by its package.json and lock file. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ci_host.cli.first_jobs import Files, FirstJob, Toolchain, json_of, table

NPM = "registry.npmjs.org"
YARN = "registry.yarnpkg.com"
MEMBERS_READ_MAX = 50

_TEST = re.compile(r"(.*/)?(__tests__/.+|.+\.(test|spec))\.[cm]?[jt]sx?")
# What `node --test` takes for a test by itself.
_PLAIN_TEST = re.compile(r"(.*/)?(test/.+|test|test-[^/]*|[^/]*[._-]test)\.[cm]?js")
# Where no script says how: by what is installed for it.
_RUNNERS = (("vitest", "vitest run"), ("jest", "jest"), ("mocha", "mocha"), ("ava", "ava"))


@dataclass(frozen=True, slots=True)
class _Tool:
    """`lock`: the file that says it is this one. `execute`: what runs a program of a package.
    `members`: what runs the tests of all packages of a workspace."""

    name: str
    lock: str
    install: str
    execute: str
    members: str = ""


_NPM_TOOL = _Tool(
    "npm", "", "npm install --cache .npm", "npx --no-install", "npm test --workspaces --if-present"
)
_TOOLS = (
    _Tool(
        "pnpm", "pnpm-lock.yaml", "pnpm install --frozen-lockfile --store-dir .npm", "pnpm exec",
        "pnpm --recursive --if-present run test",
    ),
    _Tool("yarn", "yarn.lock", "yarn install --frozen-lockfile --cache-folder .npm", "yarn run"),
    *(
        _Tool(
            "bun", lock, 'BUN_INSTALL_CACHE_DIR="$PWD/.npm" bun install --frozen-lockfile', "bun x"
        )
        for lock in ("bun.lock", "bun.lockb")
    ),
    *(
        _Tool("npm", lock, "npm ci --cache .npm", _NPM_TOOL.execute, _NPM_TOOL.members)
        for lock in ("package-lock.json", "npm-shrinkwrap.json")
    ),
)  # fmt: skip
# Of version 2 on: it refuses the options of the one before.
_YARN_INSTALL = (
    'YARN_ENABLE_GLOBAL_CACHE=false YARN_CACHE_FOLDER="$PWD/.npm" yarn install --immutable'
)


def node(files: Files) -> Toolchain | None:
    """One with something to run."""
    told, tool = json_of(files.read("package.json")), _tool(files)
    scripts = table(told, "scripts")
    jobs = [
        FirstJob(name, f"{tool.name} run {name}", group)
        for name, group in (("lint", 0), ("typecheck", 0), ("test", 0), ("build", 1))
        if name in scripts and "no test specified" not in str(scripts[name])
    ]
    if all(job.name != "test" for job in jobs) and (run := _test(files, told, tool)):
        jobs.append(FirstJob("test", run))
    return _chain(files, told, tool, jobs) if jobs else None


def bare_node(files: Files) -> Toolchain | None:
    """One of which no more is known than what it needs: often only tools for another language."""
    told, tool = json_of(files.read("package.json")), _tool(files)
    if not _fetches(files, told):
        return None
    return _chain(files, told, tool, [FirstJob("install", f"{tool.name} --version")])


def _chain(files: Files, told: Mapping[str, Any], tool: _Tool, jobs: list[FirstJob]) -> Toolchain:
    if not _fetches(files, told):
        return Toolchain("Node", "package.json", jobs)
    hosts = [NPM, YARN] if tool.name == "yarn" else [NPM]
    install = tool.install
    if tool.name == "yarn" and "__metadata:" in files.read("yarn.lock"):
        install = _YARN_INSTALL
    kept = ("npm", ".npm", [tool.lock or "package.json"])
    return Toolchain("Node", "package.json", jobs, [install], hosts, kept)


def _tool(files: Files) -> _Tool:
    return next((one for one in _TOOLS if one.lock in files.names), _NPM_TOOL)


def _fetches(files: Files, told: Mapping[str, Any]) -> bool:
    kinds = ("dependencies", "devDependencies", "optionalDependencies", "workspaces")
    return any(told.get(kind) for kind in kinds) or "pnpm-workspace.yaml" in files.names


def _test(files: Files, told: Mapping[str, Any], tool: _Tool) -> str:
    """What runs the tests that are there, though no script says how; empty: nobody can tell."""
    if tool.members and (told.get("workspaces") or "pnpm-workspace.yaml" in files.names):
        members = [name for name in files.own() if name.endswith("/package.json")]
        read = (json_of(files.read(one)) for one in members[:MEMBERS_READ_MAX])
        if any("test" in table(one, "scripts") for one in read):
            return tool.members
    needed = {**table(told, "dependencies"), **table(told, "devDependencies")}
    runner = next((words for name, words in _RUNNERS if name in needed), "")
    if runner and any(_TEST.fullmatch(name) or _PLAIN_TEST.fullmatch(name) for name in files.own()):
        return f"{tool.execute} {runner}"
    is_plain = "package.json" in files.names and any(map(_PLAIN_TEST.fullmatch, files.own()))
    return "node --test" if is_plain and not runner else ""
