"""Reading what the steps of a Job handed over: files that the job made, so nothing is trusted.

Here: from a folder that the job could write to, to bytes. The job's processes are all gone when it
is read, but what they left there may be a link, a pipe, a device, or a file of any size. What the
bytes mean is `outputs`.
"""

import os
import stat
from pathlib import Path

OUTPUTS = "outputs"
SUMMARY = "summary"
ANNOTATIONS = "annotations"

# One that is none of these could block the reader, or is somebody else's.
FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Unreadable(Exception):
    """The job handed over what cannot be taken; the message says what and why."""


def read(folder: Path, name: str, bytes_max: int) -> bytes:
    """The content of a file in `folder`; empty where there is none. Raises Unreadable."""
    try:
        inside = os.open(folder, FOLDER_FLAGS)
    except FileNotFoundError:
        return b""  # laid out by a release that had no such folder
    except OSError as error:
        raise Unreadable(f"its folder cannot be opened: {error.strerror}") from error
    try:
        return read_in(inside, name, bytes_max, owner=os.fstat(inside).st_uid)
    finally:
        os.close(inside)


def read_in(inside: int, name: str, bytes_max: int, *, owner: int) -> bytes:
    """The same in an open folder, of a file that belongs to this user. Raises Unreadable."""
    try:
        descriptor = os.open(name, FILE_FLAGS, dir_fd=inside)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Unreadable(f"it cannot be opened without following it: {error.strerror}") from error
    try:
        return _content(descriptor, owner, bytes_max)
    except OSError as error:
        raise Unreadable(f"it cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _content(descriptor: int, owner: int, bytes_max: int) -> bytes:
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        raise Unreadable("it is no regular file")
    # The agent may be root: what belongs to others, or has another name elsewhere, is not read.
    if facts.st_nlink != 1 or facts.st_uid != owner:
        raise Unreadable("it is a file of somebody else, or a hard link")
    if facts.st_size > bytes_max:
        raise Unreadable(f"it has {facts.st_size:,} bytes; {bytes_max:,} are allowed")
    content = b""
    while len(content) < facts.st_size and (part := os.read(descriptor, facts.st_size)):
        content += part
    if len(content) != facts.st_size:
        raise Unreadable("it changed while it was read")
    return content
