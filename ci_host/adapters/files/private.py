"""Private files: written in one piece, readable for the host's user only."""

import os
import secrets
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Replace the file; readers see the old or the new one, also after a power cut."""
    fresh = _fresh(path, content)
    fresh.replace(path)
    _sync(path.parent)


def create(path: Path, content: bytes) -> bool:
    """The same where there is none yet; False where there is, of whoever was first."""
    fresh = _fresh(path, content)
    try:
        os.link(fresh, path)
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
    _sync(path.parent)
    return True


def _fresh(path: Path, content: bytes) -> Path:
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return fresh


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
