"""Pattern: the form that a text must have, matched in time that its length bounds.

A gate's pattern is written by a pipeline's author and matched by the host, so Python's `re` will
not do: `(a+)+b` would hold the host for years. Here every state is visited once for each character,
and host and guest, on whatever Python, agree. A pattern is for the whole text and knows: characters
and `\\` before a special one, `.`, `\\d \\w \\s` (ASCII) and their opposites, `[a-z_]`, `[^…]`,
`(…)`, `|`, `* + ? {n} {n,} {n,m}`.
"""

import string
from collections.abc import Callable

PATTERN_CHARS_MAX = 200
STATES_MAX = 500

_END, _ONE, _SPLIT = "end", "one", "split"
_SPECIAL = frozenset("\\^$.|?*+()[]{}")
_CLASSES = {
    "d": frozenset(string.digits),
    "w": frozenset(string.ascii_letters + string.digits + "_"),
    "s": frozenset(" \t\n\r\f\v"),
}


class _Chars:
    """A set of characters."""

    __slots__ = ("_negated", "_ranges")

    def __init__(self, ranges: list[tuple[str, str]], *, negated: bool = False) -> None:
        self._ranges = ranges
        self._negated = negated

    def has(self, char: str) -> bool:
        """Whether it is one of them."""
        return any(low <= char <= high for low, high in self._ranges) is not self._negated


_Emit = Callable[["_Program"], None]


class _Program:
    """What a pattern compiles to: (op, characters, where to go on, or where else)."""

    def __init__(self) -> None:
        self.code: list[tuple[str, _Chars | None, int, int]] = []

    def add(self, op: str, chars: _Chars | None = None, on: int = -1, other: int = -1) -> int:
        """Append one state; without `on` it goes on to the next."""
        at = len(self.code)
        if at >= STATES_MAX:
            raise ValueError(f"it is too big: it has more than {STATES_MAX} states")
        self.code.append((op, chars, at + 1 if on < 0 else on, other))
        return at

    def leads(self, at: int, other: int) -> None:
        """Where a split leads besides."""
        op, chars, on, _ = self.code[at]
        self.code[at] = (op, chars, on, other)


class Pattern:
    """Raises ValueError for what is none, saying why."""

    def __init__(self, text: str) -> None:
        if not 1 <= len(text) <= PATTERN_CHARS_MAX:
            raise ValueError(f"it must have 1 to {PATTERN_CHARS_MAX} characters, not {len(text)}")
        program = _Program()
        _Reader(text).whole()(program)
        program.add(_END)
        self._code = program.code

    def matches(self, text: str) -> bool:
        """Whether the whole text has this form."""
        states = self._closed([0])
        for char in text:
            found = [
                self._code[at][2]
                for at in states
                if (chars := self._code[at][1]) is not None and chars.has(char)
            ]
            if not found:
                return False
            states = self._closed(found)
        return any(self._code[at][0] == _END for at in states)

    def _closed(self, found: list[int]) -> list[int]:
        """These states and all that splits lead to from there."""
        seen = dict.fromkeys(found)
        left = list(seen)
        while left:
            op, _, on, other = self._code[left.pop()]
            for one in (on, other) if op == _SPLIT else ():
                if one not in seen:
                    seen[one] = None
                    left.append(one)
        return list(seen)


class _Reader:
    """Reads a pattern by descent; what it gives writes the states."""

    def __init__(self, text: str) -> None:
        # The whole text is matched anyway: anchors at the ends say nothing new.
        begin = 1 if text.startswith("^") else 0
        is_anchored = text.endswith("$") and not text.endswith("\\$")
        self._text = text[begin : len(text) - 1 if is_anchored else len(text)]
        self._at = 0

    def whole(self) -> _Emit:
        emit = self._choice()
        if self._at < len(self._text):
            raise ValueError("it has a ) too many")
        return emit

    def _peek(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _take(self) -> str:
        if self._at >= len(self._text):
            raise ValueError("it ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _takes(self, char: str) -> bool:
        if self._peek() != char:
            return False
        self._at += 1
        return True

    def _choice(self) -> _Emit:
        branches = [self._sequence()]
        while self._takes("|"):
            branches.append(self._sequence())

        def emit(program: _Program) -> None:
            jumps = []
            for branch in branches[:-1]:
                split = program.add(_SPLIT)
                branch(program)
                jumps.append(program.add(_SPLIT))
                program.leads(split, len(program.code))
            branches[-1](program)
            for jump in jumps:
                op, chars, _, other = program.code[jump]
                program.code[jump] = (op, chars, len(program.code), other)
                program.leads(jump, len(program.code))

        return emit if len(branches) > 1 else branches[0]

    def _sequence(self) -> _Emit:
        parts = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._one()))

        def emit(program: _Program) -> None:
            for part in parts:
                part(program)

        return emit

    def _one(self) -> _Emit:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return _one_of(self._class())
        if char == ".":
            return _one_of(_Chars([("\n", "\n")], negated=True))
        if char == "\\":
            return _one_of(self._escaped())
        if char in _SPECIAL:
            raise ValueError(f"{char!r} has nothing to stand for there; write \\{char}")
        return _one_of(_Chars([(char, char)]))

    def _group(self) -> _Emit:
        if self._takes("?") and not self._takes(":"):
            raise ValueError("groups that begin with (? are not known here")
        if self._peek() == ")":
            raise ValueError("it has an empty group")
        emit = self._choice()
        if not self._takes(")"):
            raise ValueError("a ( is never closed")
        return emit

    def _escaped(self) -> _Chars:
        char = self._take()
        if char.lower() in _CLASSES:
            members = [(one, one) for one in sorted(_CLASSES[char.lower()])]
            return _Chars(members, negated=char.isupper())
        if char.isalnum():
            raise ValueError(f"\\{char} is not known here")
        return _Chars([(char, char)])

    def _class(self) -> _Chars:
        negated = self._takes("^")
        ranges: list[tuple[str, str]] = []
        while not self._takes("]"):
            char = self._take()
            if char == "\\":
                char = self._take()
                if char in _CLASSES:
                    ranges += [(one, one) for one in sorted(_CLASSES[char])]
                    continue
                if char.isalnum():
                    raise ValueError(f"\\{char} is not known inside [ ]")
            ranges.append((char, self._high(char)))
        if not ranges:
            raise ValueError("it has an empty [ ]")
        return _Chars(ranges, negated=negated)

    def _high(self, low: str) -> str:
        is_range = self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("", "]")
        if not is_range:
            return low
        self._take()
        high = self._take()
        high = self._take() if high == "\\" else high
        if high < low:
            raise ValueError(f"[{low}-{high}] is the wrong way round")
        return high

    def _repeated(self, part: _Emit) -> _Emit:
        char = self._peek()
        if char not in ("*", "+", "?", "{"):
            return part
        self._take()
        if char == "{":
            least, most = self._counts()
        else:
            least, most = (1 if char == "+" else 0), (1 if char == "?" else None)
        if self._peek() in ("*", "+", "?", "{"):
            raise ValueError(f"{char}{self._peek()} repeats a repetition; use ( )")

        def emit(program: _Program) -> None:
            for _ in range(least):
                part(program)
            if most is None:
                split = program.add(_SPLIT)
                part(program)
                program.add(_SPLIT, on=split, other=split)
                program.leads(split, len(program.code))
                return
            splits = []
            for _ in range(most - least):
                splits.append(program.add(_SPLIT))
                part(program)
            for split in splits:
                program.leads(split, len(program.code))

        return emit

    def _counts(self) -> tuple[int, int | None]:
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at : max(end, self._at)].partition(",")
        counts = [low] if not high else [low, high]
        if end < 0 or not all(count.isdecimal() and count.isascii() for count in counts):
            raise ValueError("after { come one or two numbers and }; for the character write \\{")
        self._at = end + 1
        least = int(low)
        most = None if comma and not high else int(high or low)
        # A part that stands for nothing has no state: repeated in turn it would never be too big.
        if least > STATES_MAX or (most is not None and not max(1, least) <= most <= STATES_MAX):
            raise ValueError(
                f"{{{low}{comma}{high}}} must go from a number up to one of 1 to {STATES_MAX}"
            )
        return least, most


def _one_of(chars: _Chars) -> _Emit:
    def emit(program: _Program) -> None:
        program.add(_ONE, chars)

    return emit
