"""Layers: the import contracts hold, and each of them bites when it is broken on purpose."""

import ast
import importlib.resources
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("ci_host", "runners", "webhooks", "pipelines")

# They run where nothing of ours is installed, or where every import costs: what each may import.
ALONE = {
    "runners/zygote.py": {
        "runners.egress",
        "runners.job_directory",
        "runners.keeper",
        "runners.services",
        "runners.standby",
    },
    "runners/keeper.py": {
        "runners.confided",
        "runners.job_directory",
        # Of a job with secrets only.
        "runners.masking",
        "runners.shim",
        "runners.spawn",
    },
    "runners/shim.py": {
        "runners.attendance",
        # Of a job with a network only.
        "runners.egress",
        "runners.job_directory",
        "runners.job_log",
        "runners.spawn",
        # Of a job that waits after a failed step only.
        "runners.standby",
        # Of a job with secrets only, after it was told where libraries are.
        "runners.masked_findings",
        "runners.masking",
        # Of a job with services only.
        "runners.services",
        "runners.watchdog",
    },
    "runners/services.py": {
        "runners.job_directory",
        "runners.job_log",
        "runners.masking",
        "runners.network",
        "runners.spawn",
    },
    "runners/network.py": set(),
    "runners/job_log.py": {"runners.job_directory", "runners.masking"},
    "runners/watchdog.py": {"runners.spawn", "runners.processes"},
    "runners/standby.py": {
        "runners.job_directory",
        "runners.masking",
        "runners.spawn",
        "runners.terminal",
        "runners.processes",
    },
    "runners/terminal.py": {"runners.masking"},
    "runners/attendance.py": {"runners.job_directory"},
    "runners/confided.py": set(),
    "runners/egress.py": {"runners.network", "runners.proxy"},
    "runners/proxy.py": {"runners.addresses", "runners.egress", "runners.spawn", "runners.targets"},
    "runners/addresses.py": set(),
    "runners/targets.py": set(),
    "runners/spawn.py": {"runners.job_directory", "runners.network", "runners.processes"},
    "runners/job_directory.py": set(),
    "webhooks/git/post_receive.py": set(),
    "runners/processes.py": set(),
}

# (what the broken contract is called, the module, the line that it must not hold)
VIOLATIONS = [
    ("Folders", "webhooks/forge.py", "import ci_host.ports"),
    ("Folders", "ci_host/access.py", "import runners.ports"),
    ("Folders", "runners/agent.py", "import ci_host.ports"),
    ("A runner knows jobs", "runners/agent.py", "import webhooks.forge"),
    ("pipelines does no I/O", "pipelines/history.py", "import time"),
    ("pipelines does no I/O", "pipelines/turn.py", "import asyncio"),
    ("pipelines does no I/O", "pipelines/ids.py", "import random"),
    ("pipelines does no I/O", "pipelines/codec.py", "import staunch"),
    ("The core", "pipelines/events.py", "import pipelines.turn"),
    ("The core", "pipelines/new_noun.py", ""),
    ("The guest stands alone", "pipelines/guest/driver.py", "import pipelines.turn"),
    ("What authors import", "staunch/waits.py", "import time"),
    ("Host", "ci_host/engine/turns.py", "import ci_host.api.app"),
    ("Host", "ci_host/ports.py", "import ci_host.tenant.sandbox"),
    ("Host", "ci_host/new_noun.py", ""),
    ("The engine speaks to ports", "ci_host/engine/turns.py", "import ci_host.adapters.nats.bus"),
    ("The engine speaks to ports", "ci_host/engine/statuses.py", "import webhooks.reporter"),
    ("The engine speaks to ports", "ci_host/engine/live.py", "import nats"),
    ("The host process", "ci_host/bootstrap/serving.py", "import ci_host.tenant.host"),
    ("The host process", "ci_host/api/runs.py", "import ci_host.adapters.wasm.image"),
    ("Adapters", "ci_host/adapters/sql/fold.py", "import ci_host.adapters.nats.bus"),
    ("Webhooks", "webhooks/github/parse.py", "import webhooks.gitea.parse"),
    ("Webhooks", "webhooks/forge.py", "import webhooks.registry"),
    ("Runner", "runners/attempt.py", "import runners.agent"),
    ("Runner", "runners/link/nats.py", "import runners.memory"),
    ("Runner", "runners/new_noun.py", ""),
    ("No import cycles", "ci_host/engine/live.py", "import ci_host.engine.turns"),
]


def lint(folder: Path) -> tuple[int, str]:
    """import-linter's verdict on the checkout in this folder."""
    words = ["-c", "from importlinter.cli import lint_imports_command as main; main()"]
    done = subprocess.run(
        [sys.executable, *words, "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code that a test may spoil."""
    folder = tmp_path_factory.mktemp("checkout")
    leave = shutil.ignore_patterns("__pycache__", "static", "templates")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=leave)
    shutil.move(folder / "pipelines/sdk/staunch", folder / "staunch")
    shutil.copy(ROOT / ".importlinter", folder)
    return folder


def test_every_contract_is_kept() -> None:
    code, said = lint(ROOT)
    assert code == 0, said


@pytest.mark.parametrize(("contract", "module", "line"), VIOLATIONS)
def test_a_forbidden_import_is_found(checkout: Path, contract: str, module: str, line: str) -> None:
    path = checkout / module
    before = path.read_text() if path.exists() else None
    path.write_text((before or '"""New."""\n') + line + "\n")
    try:
        code, said = lint(checkout)
    finally:
        path.unlink() if before is None else path.write_text(before)
    broken = [one for one in said.splitlines() if " BROKEN" in one]
    assert code != 0
    assert any(one.startswith(contract) for one in broken), said


@pytest.mark.parametrize("module", ALONE)
def test_what_runs_alone_needs_the_standard_library_only(module: str) -> None:
    tree = ast.parse((ROOT / module).read_text())
    roots = {name.split(".")[0] for name in imported(tree)} - {"runners"}
    assert roots <= set(sys.stdlib_module_names), roots
    ours = {name for name in imported(tree) if name.startswith("runners")}
    assert {name for name in ours if not is_under(name, ALONE[module])} == set()


def test_the_hook_is_a_file_that_can_be_copied() -> None:
    assert importlib.resources.files("webhooks.git").joinpath("post_receive.py").is_file()


def imported(tree: ast.Module) -> set[str]:
    """The dotted names that a module imports, members included."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, "relative imports hide where they lead"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def is_under(name: str, modules: set[str]) -> bool:
    """Whether the name is one of these modules, or a member of one."""
    return any(name == module or name.startswith(module + ".") for module in modules)


def test_a_shim_imports_nothing_that_every_job_would_wait_for() -> None:
    """Costly to import, and needed only for types, or by a job with secrets or a network."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import runners.keeper"
    words = [sys.executable, "-I", "-S", "-c", f"{program}; print(*sys.modules)", str(ROOT)]
    said = subprocess.run(words, check=True, capture_output=True, text=True, env={}).stdout.split()
    assert "runners.shim" in said
    costly = {"typing", "dataclasses", "subprocess", "asyncio", "pathlib", "socket", "msgspec"}
    assert not costly & set(said)
