"""Membership: where a registered runner belongs, as a file in its data directory.

Here: the file, and how an invitation becomes one. The runner's key is `identity`'s, the bus is
`link`'s. Whoever holds the invitation can become this runner, and nobody else, for a few minutes;
so its seed is forgotten once the runner has enrolled.

    membership.json   where the bus is, whom to trust there, under which name to come
"""

import contextlib
import os
from pathlib import Path

import msgspec

from pipelines.desk import Invitation
from runners.data_directory import DataDirectory

FILE = "membership.json"


class NotJoined(Exception):
    """This machine cannot be that runner; the message says why and what to do."""


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """`seed`: of the invitation, until the runner has enrolled. `certificate`: DER, or empty."""

    address: str
    runner: str
    certificate: bytes = b""
    seed: str = ""


def membership_of(data: DataDirectory, word: str) -> Membership | None:
    """What is kept there, or what an invitation makes of it; None: neither is there.

    An invitation to what it is a member of already is passed over, so that the same command starts
    the runner again. Raises NotJoined.
    """
    kept = read(data.root)
    if not word:
        return kept
    try:
        invited = Invitation.read(word)
    except ValueError as error:
        raise NotJoined(f"--join: {error}") from error
    if kept is not None and kept.runner == invited.runner:
        return kept
    if kept is not None or data.is_named:
        name = kept.runner if kept is not None else data.runner_id()
        raise NotJoined(
            f"{data.root} is the data of runner {name}; an invitation makes a new runner: give it"
            " a directory of its own with --data"
        )
    made = Membership(
        address=invited.address,
        runner=invited.runner,
        certificate=invited.certificate,
        seed=invited.seed,
    )
    write(data.root, made)
    return made


def read(root: Path) -> Membership | None:
    """Raises NotJoined where the file is not readable."""
    try:
        return msgspec.json.decode((root / FILE).read_bytes(), type=Membership)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise NotJoined(
            f"{root / FILE} cannot be read: {error}; remove it and join anew"
        ) from error


def write(root: Path, membership: Membership) -> None:
    """In one step; durable when it returns."""
    path = root / FILE
    fresh = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(membership))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
