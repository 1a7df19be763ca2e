"""Report words: what every reader of reports does to the texts of strangers, and says of a file.

Here: a text cut to its length, without control characters; a path as the repository has it; and
why a file cannot be taken.
"""

import posixpath

WORKSPACE = "/workspace/"


class NotTaken(Exception):
    """The file cannot be taken; the message says why."""


def clean(text: str, chars_max: int) -> str:
    """At most so many of its characters; what is not printable is U+FFFD."""
    short = text[:chars_max]
    return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in short)


def in_checkout(path: str) -> str:
    """A path relative to the repository; empty where it is elsewhere."""
    whole = posixpath.normpath(path.replace("\\", "/").removeprefix(WORKSPACE) or ".")
    is_elsewhere = whole.startswith(("/", "../")) or whole in (".", "..")
    return "" if is_elsewhere else whole
