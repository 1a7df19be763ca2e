"""Paper: what a command prints on: a terminal, as wide as that is, or a pipe or a file.

There a line has no end to be broken at: `file:line: message`, commands and the rows of tables are
for other programs to find. Whoever sets COLUMNS gets that width everywhere.
"""

import os
import sys

from rich.console import Console

# More than anything that is printed is long, for rich asks for a number.
WIDTH, HEIGHT = 100_000, 25


def paper(*, stderr: bool = False, highlight: bool = True, soft_wrap: bool = False) -> Console:
    """The console of standard output, or error. `soft_wrap`: a terminal breaks the lines, so that
    they are whole for whoever copies them."""
    stream = sys.stderr if stderr else sys.stdout
    is_wide = not stream.isatty() and not os.environ.get("COLUMNS")
    return Console(
        stderr=stderr,
        highlight=highlight,
        soft_wrap=soft_wrap,
        # Line 100 of a file would be `a.py` and a picture.
        emoji=False,
        width=WIDTH if is_wide else None,
        height=HEIGHT if is_wide else None,
    )


def divide(console: Console, words: str) -> None:
    """A line between what was and what comes."""
    if console.is_terminal:
        console.rule(words)
    else:
        console.print(f"=== {words}")
