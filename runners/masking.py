"""Masking: secrets become `***` in a stream of bytes, wherever the chunks are cut.

Here: which forms of a secret are looked for, and the masker. Not here: who feeds it. Pure, standard
library only. A stretch covered by several forms that overlap becomes one mask, so nothing sticks
out at its ends. Held back is only a tail that may be the beginning of a form.
"""

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = b"***"
SECRET_BYTES_MIN = 8
"""Shorter values, and shorter lines of a longer value, would mask ordinary text."""


class SecretTooShortError(ValueError):
    """A value too short to be masked; the message says how long it must be."""


def check_secret(value: bytes) -> None:
    """Raise SecretTooShortError unless a line of `value` is long enough to be masked."""
    if not _lines(value):
        raise SecretTooShortError(
            f"The value has no line of {SECRET_BYTES_MIN} bytes or more: masking it would hide "
            "ordinary text of the log. Use a longer secret."
        )


def forms(value: bytes) -> frozenset[bytes]:
    """What is looked for: `value` and its lines, each plain, base64, URL, JSON and hex."""
    check_secret(value)
    found: set[bytes] = set()
    for part in {value, value.strip(), *_lines(value)}:
        found |= {part, part.hex().encode(), part.hex().upper().encode()}
        found |= _base64_forms(part) | _url_forms(part) | _json_forms(part)
    return frozenset(form for form in found if len(form) >= SECRET_BYTES_MIN)


def _lines(value: bytes) -> list[bytes]:
    lines = (line.strip() for line in value.splitlines())
    return [line for line in lines if len(line) >= SECRET_BYTES_MIN]


def _base64_forms(part: bytes) -> set[bytes]:
    """The characters that `part` alone decides, at each of the three places it can begin."""
    found = set()
    for before, undecided in ((0, 0), (1, 2), (2, 3)):
        whole = (before + len(part)) * 8 // 6
        padded = b"\0" * before + part
        found.add(base64.b64encode(padded)[undecided:whole])
        found.add(base64.urlsafe_b64encode(padded)[undecided:whole])
    return found


def _url_forms(part: bytes) -> set[bytes]:
    upper = {quote(part, safe=""), quote(part), quote_plus(part)}
    lower = {re.sub("%..", lambda escape: escape[0].lower(), text) for text in upper}
    return {text.encode() for text in upper | lower}


def _json_forms(part: bytes) -> set[bytes]:
    try:
        text = part.decode()
    except UnicodeDecodeError:
        return set()
    return {
        json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode() for ascii_only in (True, False)
    }


def _pattern(looked_for: list[bytes], at: int = 0) -> bytes:
    """One choice by the first byte, one by the second, then the longest first: most bytes of a
    log fail at once, where a flat list of alternatives would try them all."""
    if at == 2:
        by_length = sorted(looked_for, key=len, reverse=True)
        return b"(?:" + b"|".join(re.escape(form[at:]) for form in by_length) + b")"
    groups: dict[bytes, list[bytes]] = {}
    for form in looked_for:
        groups.setdefault(form[at : at + 1], []).append(form)
    choices = (re.escape(byte) + _pattern(group, at + 1) for byte, group in groups.items())
    return b"(?:" + b"|".join(choices) + b")"


class Masker:
    """Masks one stream. `feed` each chunk, `flush` when the stream is idle or ends."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        """Raises SecretTooShortError for a value that cannot be masked."""
        self._forms = sorted({form for secret in secrets for form in forms(secret)})
        self._firsts = {form[0] for form in self._forms}
        self._longest = max(map(len, self._forms), default=0)
        self._pattern = re.compile(_pattern(self._forms))
        self._held = b""
        self._covered = 0  # so many bytes of what is held belong to a mask already given out

    def feed(self, chunk: bytes) -> bytes:
        """What may be shown now: everything but a tail that may begin a form."""
        if not self._forms:
            return chunk
        text = self._held + chunk
        return self._release(text, self._undecided(text))

    def flush(self) -> bytes:
        """What was held back. A form cut in two by a flush is not recognised."""
        return self._release(self._held, len(self._held))

    def _undecided(self, text: bytes) -> int:
        """Where the first tail begins that a longer form may still grow out of."""
        for at in range(max(0, len(text) - self._longest + 1), len(text)):
            if text[at] not in self._firsts:
                continue
            tail = text[at:]
            place = bisect_right(self._forms, tail)
            if place < len(self._forms) and self._forms[place].startswith(tail):
                return at
        return len(text)

    def _release(self, text: bytes, limit: int) -> bytes:
        shown: list[bytes] = []
        covered = self._covered
        found = self._pattern.search(text) if self._forms else None
        while found is not None and found.start() < limit:
            if found.start() >= covered:
                shown += (text[covered : found.start()], MASK)
            covered = max(covered, found.end())
            found = self._pattern.search(text, found.start() + 1)
        shown.append(text[covered:limit])
        self._held = text[limit:]
        self._covered = max(0, covered - limit)
        return b"".join(shown)
