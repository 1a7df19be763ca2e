"""Commands: each is where the table says, and none waits for what only others need."""

import subprocess
import sys

import pytest

from ci_host.cli import COMMANDS, Commands, commands_of

SERVERS = ("nats", "sqlalchemy", "fastapi", "uvicorn", "wasmtime", "git")


@pytest.mark.parametrize("module", COMMANDS)
def test_a_module_registers_the_commands_that_the_table_says(module: str) -> None:
    assert tuple(commands_of(module)) == COMMANDS[module]


def test_no_two_modules_have_a_command_of_one_name() -> None:
    names = [name for names in COMMANDS.values() for name in names]
    assert sorted(names) == sorted(Commands()), "each has its place in PANELS"
    assert len(Commands()) == len(names)


@pytest.mark.parametrize("words", ["--version", "runs --help", "approve --help"])
def test_a_command_that_asks_a_host_imports_nothing_of_a_host(words: str) -> None:
    asked = (
        "import runpy, sys\n"
        f"sys.argv = ['staunch', *{words.split()}]\n"
        "try:\n    runpy.run_module('ci_host', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('imported:', sorted(set({SERVERS}) & set(sys.modules)))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.splitlines()[-1] == "imported: []"
    assert "staunch" in told.stdout
