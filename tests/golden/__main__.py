"""`python -m tests.golden`: make golden histories of today's codec from simulated Runs.

Seeds are played one after another, and a Run is kept if it shows something that none before did.
Files that are there are kept: what an older version wrote is the very thing to be read.
"""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import structlog

from pipelines.codec import CODEC
from pipelines.export import Export, decode_export, encode_export
from tests.golden.features import features_of
from tests.golden.tried import exported, tried
from tests.sim.loop import VirtualLoop
from tests.sim.play import World
from tests.sim.story import unheard

SEEDS = 600
FOLDER = Path(__file__).parent / f"codec-{CODEC}"


async def runs_of(seed: int, folder: Path) -> list[Export]:
    """Every Run of a seed, as it would be exported."""
    world = World(seed, folder)
    await world.play()
    stored = [await world.stored(told) for told in world.told]
    return [await exported(one, world.bundles) for one in stored]


def played() -> Iterator[Export]:
    """All that there are to choose from, the seeds' first."""
    for seed in range(SEEDS):
        with (
            tempfile.TemporaryDirectory() as folder,
            asyncio.Runner(loop_factory=VirtualLoop) as runner,
        ):
            yield from runner.run(runs_of(seed, Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        yield asyncio.run(tried(Path(folder)))


def main() -> None:
    """Add what is missing."""
    FOLDER.mkdir(exist_ok=True)
    shown: set[str] = set()
    for path in FOLDER.glob("*.jsonl"):
        shown |= features_of(decode_export(path.read_bytes()))
    structlog.configure(processors=[unheard])
    for export in played():
        if new := features_of(export) - shown:
            shown |= new
            path = FOLDER / f"{export.started.run}.jsonl"
            path.write_bytes(encode_export(export))
            sys.stdout.write(f"{path.name}: {', '.join(sorted(new))}\n")


if __name__ == "__main__":
    main()
