"""Options that many commands share, and the client that they lead to."""

from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    Path | None, typer.Option("--data", envvar="STAUNCH_DATA", help="Data directory.")
]
ServerOption = Annotated[
    str | None, typer.Option("--server", envvar="STAUNCH_SERVER", help="The host's URL.")
]
TokenOption = Annotated[
    str | None, typer.Option("--token", envvar="STAUNCH_TOKEN", help="Whose key to use.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
