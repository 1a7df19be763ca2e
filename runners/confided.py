"""Confided: the values of a job's secrets, on their way from the agent to the shim and its job.

Here: what goes through the pipe that is the shim's standard input, and where the job finds them.
They are in memory only: of the agent while it starts the shim, of the shim, and of the job's own
processes. Standard library only: every shim reads its input.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def encode(secrets: Mapping[str, str]) -> bytes:
    """What the agent writes: the values by the names of variables, and where libraries are.

    A shim starts without them, because one that masks nothing needs none. No secrets: nothing.
    """
    if not secrets:
        return b""
    return json.dumps({"path": sys.path, "secrets": dict(secrets)}).encode()


def take(content: bytes) -> dict[str, str]:
    """What the shim reads: the values, and from now on it finds libraries."""
    if not content:
        return {}
    told = json.loads(content)
    sys.path += [place for place in told["path"] if place not in sys.path]
    secrets: dict[str, str] = told["secrets"]
    return secrets


def launch_with(launch: dict[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """The launch whose steps have the values as variables.

    Sandboxes are told by further arguments, which are memory: what is in bubblewrap's environment
    a job could read, and what is in a command line everybody.
    """
    if not launch["namespaced"]:
        return {**launch, "env": {**launch["env"], **secrets}}
    if launch.get("by_podman"):
        lines = [f"export {name}={shlex.quote(value)}" for name, value in secrets.items()]
        return {**launch, "arguments": [*launch["arguments"], *lines]}
    words = [word for name, value in secrets.items() for word in ("--setenv", name, value)]
    return {**launch, "arguments": [*launch["arguments"], *words]}
