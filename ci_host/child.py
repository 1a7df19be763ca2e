"""Child: one process of an installation, as it is started: its input, output and environment.

When it is started, and again, is the supervisor's to say.
"""

import asyncio
import os
from asyncio.subprocess import STDOUT, Process
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ci_host.held import Held
from ci_host.parting import die_with_parent
from ci_host.settings import is_hosts_own


@dataclass(slots=True)
class Child:
    """`environment`: beyond ours. `process`: its newest life."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    process: Process | None = None

    async def start(self, data: Path, held: Held) -> Process:
        """Begin a life; it is not to outlive ours. Raises OSError."""
        with _log_file(data, self.name) as output, held.input_of() as stdin:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=stdin,
                stdout=output,
                stderr=STDOUT,
                env={**_inherited(self.name), **self.environment},
                preexec_fn=die_with_parent,
            )
        return self.process


def _inherited(name: str) -> dict[str, str]:
    """Our environment, for a child: keys are the host's only."""
    return {
        variable: value
        for variable, value in os.environ.items()
        if name == "host" or not is_hosts_own(variable)
    }


def _log_file(data: Path, name: str) -> BinaryIO:
    folder = data / "logs"
    folder.mkdir(exist_ok=True)
    return (folder / f"{name}.log").open("ab")
