"""Opening: what an installation that belongs to one command begins with, before its host answers.

It is what the command will ask the host for, with the same names: so asking finds it done, and
where there was no opening, has it done. It is given and taken as a file, once.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pipelines.repo import Connection, Delivery, Repo


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A start by hand, and the repository that it is of."""

    connection: Connection
    repo: Repo
    delivery: Delivery


def give(path: Path, opening: Opening) -> None:
    """Whole or not at all. Raises OSError."""
    temporary = path.with_suffix(".tmp")
    temporary.touch(mode=0o600)
    temporary.write_bytes(msgspec.json.encode(opening))
    temporary.replace(path)


def given(path: Path) -> Opening | None:
    """None: there is none, or it is already done."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Opening)
    except FileNotFoundError:
        return None


def owner(environment: Mapping[str, str] = os.environ) -> str:
    """Who has an installation made: the name in its first token."""
    return environment.get("STAUNCH_USER") or environment.get("USER") or "admin"
