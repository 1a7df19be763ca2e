"""Options that many commands share, and the client that they lead to."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.priority import Priority

DataOption = Annotated[
    Path | None, typer.Option("--data", envvar="STAUNCH_DATA", help="Data directory.")
]
ServerOption = Annotated[
    str | None, typer.Option("--server", envvar="STAUNCH_SERVER", help="The host's URL.")
]
TokenOption = Annotated[
    str | None, typer.Option("--token", envvar="STAUNCH_TOKEN", help="Whose key to use.")
]
PriorityOption = Annotated[
    Priority | None, typer.Option("--priority", help="Which of those that wait goes first.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", envvar="STAUNCH_CACHE_DIR", help="Where the guest image is kept."),
]


def default_cache() -> Path:
    """Where the guest image is kept: it can be built again at any time."""
    return Path.home() / ".cache" / "staunch"
