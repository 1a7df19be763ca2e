"""The command line: typer commands over the REST API, and `up`, which starts an installation.

Which module has which command is a table, so that a command waits for no other's imports. Here is
no command: each is in a module of its own, whose `register` adds it.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from ci_host.cli.client import ClientError
from ci_host.cli.plain import plain

DISTRIBUTION = "staunch-ci"

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "up": ("up", "image", "doctor", "rebuild"),
    "run": ("run",),
    "init": ("init",),
    "login": ("login", "logout", "profiles"),
    "lint": ("lint",),
    "plan": ("plan",),
    "run_list": ("runs",),
    "reading": ("show", "history", "logs", "runners"),
    "why": ("why",),
    "watch": ("watch",),
    "deliveries": ("deliveries", "delivery"),
    "statuses": ("statuses",),
    "artifacts": ("artifacts",),
    "writing": (
        *("start", "approve", "reject", "signal", "retry", "cancel"),
        *("pause", "resume", "kill", "rerun", "fork"),
    ),
    "shell": ("shell",),
    "schedules": ("schedules", "schedule"),
    "exports": ("export", "import", "replay"),
    "connecting": ("connect",),
    "settings": ("repo",),
    "secrets": ("secret",),
    "environments": ("environment",),
    "limits": ("queue", "limits"),
    "pools": ("pool",),
    "trust": ("trust",),
    "runners": ("runner",),
    "tokens": ("token",),
    "audit": ("audit",),
    "subscriptions": ("events", "subscription"),
}

# What people come for, in the order in which `--help` tells it.
PANELS: Mapping[str, tuple[str, ...]] = {
    "Write a pipeline": ("init", "lint", "plan", "run"),
    "See what runs": ("runs", "watch", "why", "show", "logs", "artifacts", "history", "events"),
    "Act on a run": (
        *("start", "approve", "reject", "cancel", "rerun", "shell", "signal", "retry"),
        *("pause", "resume", "kill", "fork", "export", "import", "replay"),
    ),
    "Repositories": (
        *("connect", "repo", "deliveries", "delivery", "statuses", "schedules", "schedule"),
        *("secret", "environment", "trust"),
    ),
    "Runners": ("runners", "runner", "queue", "limits", "pool"),
    "People and programs": ("login", "logout", "profiles", "token", "audit", "subscription"),
    "The server": ("up", "doctor", "image", "rebuild"),
}


class Commands(Mapping[str, TyperCommand | TyperGroup]):
    """Every command by its name; its module is imported when it is asked for."""

    def __init__(self) -> None:
        self._modules = {name: module for module, names in COMMANDS.items() for name in names}
        self._panels = {name: panel for panel, names in PANELS.items() for name in names}

    def __getitem__(self, name: str) -> TyperCommand | TyperGroup:
        command = commands_of(self._modules[name])[name]
        command.rich_help_panel = self._panels.get(name)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._panels)

    def __len__(self) -> int:
        return len(self._modules)


def commands_of(module: str) -> Mapping[str, TyperCommand | TyperGroup]:
    """What this module of the package registers."""
    app = typer.Typer()
    importlib.import_module(f"{__name__}.{module}").register(app)
    return typer.main.get_group(app).commands  # type: ignore[return-value]


def command_line() -> TyperGroup:
    """The `staunch` command with all that is below it."""
    app = typer.Typer(
        name="staunch",
        help="Durable CI/CD pipelines: every repository brings its own code.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=True,
    )
    app.callback()(_staunch)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup), "with a callback it is a group"
    group.commands = Commands()  # type: ignore[assignment]
    return group


def _say_version(wanted: bool) -> None:
    if wanted:
        # Only here: it takes longer to load than all that is said.
        from importlib.metadata import version

        sys.stdout.write(f"staunch {version(DISTRIBUTION)}\n")
        raise typer.Exit


def _staunch(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Say which version this is.", is_eager=True, callback=_say_version
        ),
    ] = False,
) -> None:
    """Durable CI/CD pipelines: every repository brings its own code."""


def run_cli() -> None:
    """The `staunch` command. Exit codes: docs/guide/cli.md."""
    try:
        command_line()()
    except ClientError as error:
        typer.secho(f"staunch: {plain(str(error))}", fg="red", err=True)
        sys.exit(error.exit_code)
