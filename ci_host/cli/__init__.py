"""The command line: typer commands over the REST API, and `up`, which starts an installation."""

import sys

import typer

from ci_host.cli import (
    artifacts,
    audit,
    connecting,
    deliveries,
    environments,
    exports,
    limits,
    pools,
    reading,
    run,
    runners,
    schedules,
    secrets,
    settings,
    shell,
    tokens,
    trust,
    up,
    writing,
)
from ci_host.cli.client import ClientError

COMMANDS = (
    *(up, run, reading, deliveries, artifacts, writing, shell, schedules, exports),
    *(connecting, settings, secrets, environments, limits, pools, trust, runners, tokens, audit),
)


def run_cli() -> None:
    """The `staunch` command. Exit codes: docs/guide/cli.md."""
    app = typer.Typer(
        name="staunch",
        help="Durable CI/CD pipelines: every repository brings its own code.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=True,
    )
    for module in COMMANDS:
        module.register(app)
    try:
        app()
    except ClientError as error:
        typer.secho(f"staunch: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
