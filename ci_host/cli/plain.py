"""Plain: what strangers wrote, as a terminal may show it.

Messages, logs, names and what a plan prints are anybody's. A terminal obeys what it is sent: it
would move, overwrite what was said, fill the clipboard, or show one name as another.
"""

import re

# Whole, with what they say, so that no rest of a colour is left; the 8-bit ones too. One that has
# no end takes its own line at most.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)


def plain(text: str, kept: str = "\n\t") -> str:
    """Without what a terminal would obey, or what shows text as another; `kept`: of that, what may
    stay."""
    if text.isprintable():
        return text
    text = _SEQUENCES.sub("", text)
    return "".join(char if char.isprintable() or char in kept else " " for char in text)


def plain_line(line: str) -> str:
    """A line of a log; one that was written over is as it was last."""
    return plain(line.rstrip("\r\n").rpartition("\r")[2], "\t")


def escape(text: str) -> str:
    """For rich, in place of its own: plain, and without markup."""
    # Only here: not every command prints with rich, and editors wait for `staunch lint`.
    from rich.markup import escape

    return escape(plain(text))
