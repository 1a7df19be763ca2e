"""KeptLog: a job's whole log in the blob store, cut into pieces, with an index of its lines.

Here: the index, finding an offset or a line in it, and which lines are headings. A piece is
zlib-compressed bytes of the log, whole lines where it can be. While a job runs its log is chunks on
the bus; these go once it is kept.
"""

import hashlib
import re
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

import msgspec

from pipelines.manifest import LOGS

PIECE_BYTES = 1_048_576
INDEX_BYTES_MAX = 1_048_576
# Of a log; what follows is shown as ordinary lines.
HEADINGS_MAX = 1_000
HEADING_CHARS_MAX = 200

# What the shim writes between steps, and what jobs write to group their own output.
_HEADING = re.compile(r"^(?:=== |::group::|::endgroup::).*$", re.MULTILINE)


class BadLog(Exception):
    """An index or a piece that is none."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """`size` bytes of the log from `offset` on; `line` is the number of the first, from 0 on."""

    digest: str
    offset: int
    size: int
    line: int


class Heading(msgspec.Struct, frozen=True, array_like=True):
    """A line that begins or ends a part of the log; `line` is its number, from 0 on."""

    line: int
    text: str


class KeptLog(msgspec.Struct, frozen=True, kw_only=True):
    """The index: all pieces in order, without gaps. `lines` counts one without an end. `headings`
    None: whoever kept it did not look for them."""

    size: int
    lines: int
    pieces: list[Piece]
    headings: list[Heading] | None = None

    def from_offset(self, offset: int) -> list[Piece]:
        """The pieces that reach behind `offset`."""
        first = bisect_right([piece.offset for piece in self.pieces], offset) - 1
        return [one for one in self.pieces[max(0, first) :] if one.offset + one.size > offset]

    def offset_before_line(self, line: int) -> tuple[int, int]:
        """An offset at which `line`, or one before it, begins, and the number of that one."""
        if not self.pieces:
            return 0, 0
        lines = [piece.line for piece in self.pieces]
        # Of a line longer than a piece all parts have its number; it begins in the first of them.
        at = bisect_left(lines, lines[bisect_right(lines, line) - 1])
        return self.pieces[at].offset, lines[at]


def headings_in(text: str, line: int) -> Iterator[Heading]:
    """The headings among whole lines, of which the first has the number `line`."""
    at = 0
    for found in _HEADING.finditer(text):
        line += text.count("\n", at, found.start())
        at = found.start()
        yield Heading(line, found[0][:HEADING_CHARS_MAX])


def shelf_of_log(job: str) -> str:
    """Where the index of a job's log lies: with those of its Run."""
    run = job.partition(".")[0]
    return f"{LOGS}/{hashlib.sha256(run.encode()).hexdigest()[:32]}"


def encode(log: KeptLog) -> bytes:
    """The same log is the same bytes."""
    return msgspec.json.encode(log)


def decode(content: bytes) -> KeptLog:
    """Raises BadLog."""
    try:
        log = msgspec.json.decode(content, type=KeptLog)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadLog(f"no index of a log: {error}") from error
    offset = 0
    for piece in log.pieces:
        if piece.offset != offset or not 0 < piece.size <= PIECE_BYTES:
            raise BadLog(f"the piece at {piece.offset} does not follow the one before it")
        offset += piece.size
    return log


def packed(content: bytes) -> bytes:
    """A piece as it is kept."""
    return zlib.compress(content, 1)


def unpacked(content: bytes, piece: Piece) -> bytes:
    """The inverse, never more than the piece says. Raises BadLog."""
    try:
        found = zlib.decompressobj().decompress(content, piece.size + 1)
    except zlib.error as error:
        raise BadLog(f"the piece at {piece.offset} cannot be read: {error}") from error
    if len(found) != piece.size:
        raise BadLog(f"the piece at {piece.offset} has another size than it says")
    return found
