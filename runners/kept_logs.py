"""Keeping a log: from the file that a job left to pieces and an index in the blob store.

Here: cutting and putting. That it is kept, the shipper tells. Repeatable: the same file makes the
same pieces.
"""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from pipelines import kept_log
from pipelines.kept_log import HEADINGS_MAX, PIECE_BYTES, Heading, KeptLog, Piece
from runners.log_shipper import whole_characters
from runners.ports import BlobStore


async def keep_log(path: Path, job: str, store: BlobStore) -> str:
    """The digest of its index. Raises Unavailable."""
    pieces: list[Piece] = []
    headings: list[Heading] = []
    line, size, is_open = 0, 0, False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for content in _pieces(descriptor):
            blob = await asyncio.to_thread(kept_log.packed, content)
            digest = hashlib.sha256(blob).hexdigest()
            await store.put(digest, blob)
            pieces.append(Piece(digest=digest, offset=size, size=len(content), line=line))
            headings += _headings(content, line, is_open)[: HEADINGS_MAX - len(headings)]
            size += len(content)
            line += content.count(b"\n")
            is_open = not content.endswith(b"\n")
    finally:
        os.close(descriptor)
    index = kept_log.encode(
        KeptLog(size=size, lines=line + is_open, pieces=pieces, headings=headings)
    )
    digest = hashlib.sha256(index).hexdigest()
    await store.put(digest, index, kept_log.shelf_of_log(job))
    return digest


def _headings(content: bytes, line: int, is_open: bool) -> list[Heading]:
    """Those of a piece; where a line goes on from the piece before, it is none."""
    found = list(kept_log.headings_in(content.decode("utf-8", "replace"), line))
    return found[1:] if is_open and found and found[0].line == line else found


def _pieces(descriptor: int) -> Iterator[bytes]:
    offset = 0
    while content := os.pread(descriptor, PIECE_BYTES, offset):
        if len(content) == PIECE_BYTES:
            # Whole lines, so that one is looked for in one piece; else whole characters.
            whole = content.rfind(b"\n") + 1 or whole_characters(content) or len(content)
            content = content[:whole]
        yield content
        offset += len(content)
