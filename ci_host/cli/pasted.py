"""Pasted: commands that are printed for somebody to paste into a shell.

Steps, repositories and files are named by others: each name is one word to the shell, whatever is
in it, and nothing that a terminal would obey.
"""

import shlex
from collections.abc import Iterable


def pasted(*words: str) -> str:
    """`staunch` and these words."""
    return " ".join(("staunch", *map(word, words)))


def word(text: str) -> str:
    """As the shell must read it; where a character cannot be shown, as bash and zsh read it."""
    if text.isprintable():
        return shlex.quote(text)
    told = (char if char.isprintable() else f"\\U{ord(char):08x}" for char in _escaped(text))
    return f"$'{''.join(told)}'"


def with_inputs(names: Iterable[str]) -> str:
    """The options of a gate's inputs, their values left open."""
    return "".join(f" --input {word(name)}=…" for name in names)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
