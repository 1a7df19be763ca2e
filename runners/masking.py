"""Masking: secrets become `***` in a stream of bytes, wherever the chunks are cut.

Here: which forms of a secret are looked for, and the masker. Not here: who feeds it. Pure. A
stretch covered by several forms that overlap becomes one mask, so nothing sticks out at its ends.
Held back is only a tail that may be the beginning of a form, until it is known to be none, or the
stream ends: a chunk's end is no end. What then is left of a form that was cut off is masked too,
where it is half of it or 8 bytes.
"""

import base64
import html
import json
import re
import shlex
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from urllib.parse import quote, quote_plus

from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from pipelines import secret

MASK = secret.MASK.encode()
SECRET_BYTES_MIN = secret.MASKED_BYTES_MIN
WRAPS = (60, 64, 76)
"""Where `xxd`, `openssl` and `base64` break a long line."""
SLICE_BYTES = 65_536
HEAD_BYTES = 4


class UnmaskableError(ValueError):
    """A value that cannot be masked; the message says why, never what it is."""


def check_secret(value: bytes) -> None:
    """Raise UnmaskableError unless `value` can be told from ordinary text and from a mask."""
    if why := secret.unmaskable(value.decode("utf-8", "replace")):
        raise UnmaskableError(why)


def forms(value: bytes) -> frozenset[bytes]:
    """What is looked for: `value` and its lines, each plain, quoted, base64, URL, JSON and hex."""
    check_secret(value)
    found: set[bytes] = set()
    for part in {value, value.strip(), *_lines(value)}:
        coded = {part.hex().encode(), part.hex().upper().encode(), *_base64_forms(part)}
        found |= {part, *coded, *_url_forms(part), *_text_forms(part)}
        found |= {line for whole in coded for line in _wrapped(whole)}
    return frozenset(form for form in found if len(form) >= SECRET_BYTES_MIN and MASK not in form)


def _lines(value: bytes) -> list[bytes]:
    lines = (line.strip() for line in value.splitlines())
    return [line for line in lines if len(line) >= SECRET_BYTES_MIN]


def _wrapped(whole: bytes) -> set[bytes]:
    """The lines that a program makes of a long coded text."""
    return {
        whole[at : at + width]
        for width in WRAPS
        if len(whole) > width
        for at in range(0, len(whole), width)
    }


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


def _text_forms(part: bytes) -> set[bytes]:
    """As JSON, XML and a shell would have it."""
    try:
        text = part.decode()
    except UnicodeDecodeError:
        return set()
    quoted = {json.dumps(text, ensure_ascii=only)[1:-1] for only in (True, False)}
    quoted |= {html.escape(text), html.escape(text, quote=False)}
    quoted |= {shlex.quote(text)[1:-1], text.replace("'", "'\\''")}
    return {one.encode() for one in quoted}


class Forms:
    """All forms of some secrets, made ready to be looked for."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        """Raises UnmaskableError for a value that cannot be masked."""
        self._forms = sorted({form for value in secrets for form in forms(value)})
        self._longest = max(map(len, self._forms), default=0)
        self._matches = _automaton(self._forms)
        self._heads = _automaton(sorted({form[:HEAD_BYTES] for form in self._forms}))

    def mask(self, text: str) -> str:
        """A whole text, by itself."""
        masker = Masker(self)
        shown = masker.feed(text.encode("utf-8", "surrogatepass")) + masker.end()
        return shown.decode("utf-8", "replace")

    def found(self, text: bytes) -> list[tuple[int, int]]:
        """Where forms begin and end, in order."""
        matches = self._matches.find_matches_as_indexes(text, overlapping=True)
        return sorted((start, end) for _, start, end in matches)

    def undecided(self, text: bytes) -> int:
        """Where the first tail begins that a longer form may still grow out of."""
        first = max(0, len(text) - self._longest + 1)
        near = max(first, len(text) - HEAD_BYTES + 1)
        heads = self._heads.find_matches_as_indexes(text[first:], overlapping=True)
        places: list[int] = sorted(first + start for _, start, _ in heads)
        for at in chain(places, range(near, len(text))):
            if next(self._begun_by(text[at:]), None) is not None:
                return at
        return len(text)

    def cut_off(self, text: bytes) -> int:
        """Where the first tail begins that is most of a form which ended too soon."""
        for at in range(len(text)):
            tail = text[at:]
            if any(
                len(tail) >= min(SECRET_BYTES_MIN, len(form) / 2) for form in self._begun_by(tail)
            ):
                return at
        return len(text)

    def _begun_by(self, tail: bytes) -> Iterator[bytes]:
        """The longer forms that begin with `tail`."""
        for form in islice(self._forms, bisect_right(self._forms, tail), None):
            if not form.startswith(tail):
                return
            yield form


class Masker:
    """Masks one stream after the other: `feed` each chunk, and `end` where a stream ends."""

    def __init__(self, looked_for: Forms) -> None:
        self._forms = looked_for
        self._held = b""
        self._covered = 0  # so many bytes of what is held belong to a mask already given out

    def feed(self, chunk: bytes) -> bytes:
        """What may be shown now: everything but a tail that may begin a form."""
        shown = []
        # A form that overlaps itself is found at every byte; slices bound how many at once.
        for at in range(0, len(chunk), SLICE_BYTES):
            text = self._held + chunk[at : at + SLICE_BYTES]
            shown.append(self._release(text, self._forms.undecided(text), self._forms.found(text)))
        return b"".join(shown)

    def end(self) -> bytes:
        """What was held back. Then another stream may begin."""
        text = self._held
        cut_off = (self._forms.cut_off(text), len(text))
        return self._release(text, len(text), sorted([*self._forms.found(text), cut_off]))

    def _release(self, text: bytes, limit: int, found: list[tuple[int, int]]) -> bytes:
        shown: list[bytes] = []
        covered = self._covered
        for start, end in found:
            if start >= limit:
                break
            if start >= covered:
                shown += (text[covered:start], MASK)
            covered = max(covered, end)
        shown.append(text[covered:limit])
        self._held = text[limit:]
        self._covered = max(0, covered - limit)
        return b"".join(shown)


def _automaton(words: list[bytes]) -> BytesAhoCorasick:
    return BytesAhoCorasick(
        words, matchkind=MatchKind.Standard, implementation=Implementation.ContiguousNFA
    )
