"""Coloured: a log as a terminal shows it: with its colours, and nothing else that it would obey.

What goes into a file or another program is the log as it is.
"""

import re
import sys

from ci_host.cli.plain import plain

# "Select Graphic Rendition" (ECMA-48, 8.3.117) alone changes nothing but what is written next.
RESET = "\x1b[0m"
_COLOUR = re.compile(r"(\x1b\[[0-9;:]*m)")
# What begins a sequence, and one that has not ended: what comes next may end it. Longer ones are no
# colours, nor anything honest.
_BEGINS = re.compile(r"[\x1b\x90\x98\x9b\x9d-\x9f]")
_OPEN_CHARS_MAX = 64
_WHOLE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\n]*?(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"
)


class Coloured:
    """The text of one log, piece by piece, in order; no sequence is torn in two by its pieces."""

    def __init__(self) -> None:
        self._begun = ""
        self._has_colours = False

    def shown(self, piece: str) -> str:
        """What can be written of it now."""
        text = self._begun + piece
        begins = [
            found.start() for found in _BEGINS.finditer(text, max(0, len(text) - _OPEN_CHARS_MAX))
        ]
        last = next((at for at in begins if _is_open(text[at:])), len(text))
        done, self._begun = text[:last], text[last:]
        parts = _COLOUR.split(done)
        self._has_colours = self._has_colours or len(parts) > 1
        return "".join(
            part if number % 2 else plain(part, "\n\t\r") for number, part in enumerate(parts)
        )

    def end(self) -> str:
        """What ends it: what comes after a log is not in its colours."""
        return RESET if self._has_colours else ""


def _is_open(tail: str) -> bool:
    return "\n" not in tail and _WHOLE.match(tail) is None


def for_terminal() -> Coloured | None:
    """One, if it is a terminal that this command writes to."""
    return Coloured() if sys.stdout.isatty() else None
