"""A terminal: what a person sees of what a command writes, as far as rich asks for it."""

import re

_PART = re.compile(r"\x1b\[(?P<number>[?0-9;]*)(?P<letter>[A-Za-z])|(?P<char>.)", re.S)


class Terminal:
    """`lines`: all that was ever in it, the last of them on the screen."""

    def __init__(self, columns: int) -> None:
        self.lines = [""]
        self.has_cursor = True
        self._columns = columns
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        """Take what was written; a sequence is whole."""
        for part in _PART.finditer(text):
            if part["char"]:
                self._write(part["char"])
            else:
                self._obey(part["letter"], part["number"])

    def shows(self, words: str) -> bool:
        """Whether they stand somewhere by now."""
        return words in "\n".join(self.lines)

    def _write(self, char: str) -> None:
        if char == "\r":
            self._column = 0
        elif char == "\n":
            self._row, self._column = self._row + 1, 0
            if self._row == len(self.lines):
                self.lines.append("")
        else:
            if self._column == self._columns:
                self._write("\n")
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + char + line[self._column + 1 :]
            self._column += 1

    def _obey(self, letter: str, number: str) -> None:
        if letter == "A":
            self._row = max(0, self._row - int(number or 1))
        elif letter == "K":
            assert number == "2", "only whole lines are erased here"
            self.lines[self._row] = ""
        elif letter in "hl" and number == "?25":
            self.has_cursor = letter == "h"
        else:
            assert letter == "m", f"this terminal does not know {number}{letter}"
