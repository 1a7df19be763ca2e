"""Half-made: the streams and consumers that a server was making when it was killed.

The server writes what each is called and, after it, a checksum of that. Killed in between, it never
says again that it is healthy. Nobody was told that the thing is there, so nothing is in it, and it
is put aside; whoever wants it makes it again. What holds messages is not touched.
"""

import time
from collections.abc import Iterator
from pathlib import Path

MADE_OF = ("meta.inf", "meta.sum")
ASIDE = "half-made"


def put_aside(store: Path) -> list[Path]:
    """Before the server is started over this folder. Answers where they were. Raises OSError."""
    found = list(_half_made(store / "js" / "jetstream"))
    for one in found:
        kept = store / ASIDE / f"{one.name}-{time.time_ns()}"
        kept.parent.mkdir(exist_ok=True)
        one.rename(kept)
    return found


def _half_made(folder: Path) -> Iterator[Path]:
    for stream in sorted(folder.glob("*/streams/*")):
        if not _is_whole(stream):
            if not any(block.stat().st_size for block in stream.glob("msgs/*.blk")):
                yield stream
            continue
        yield from (one for one in sorted(stream.glob("obs/*")) if not _is_whole(one))


def _is_whole(folder: Path) -> bool:
    files = [folder / name for name in MADE_OF]
    return all(one.is_file() and one.stat().st_size for one in files)
