"""Story: a seed told from its beginning to its end, with nothing heard of it but its verdicts."""

import asyncio
import gc
import hashlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from tests.sim.judge import Verdict
from tests.sim.loop import VirtualLoop
from tests.sim.play import World


@dataclass(frozen=True, slots=True)
class Story:
    """What a seed came to: what was wrong, and a digest of everything that was recorded."""

    seed: int
    verdicts: list[Verdict]
    trace: str
    turns: int
    lives: int


def tell_all(seeds: Sequence[int]) -> list[Story]:
    """Play these, one after another; what the engine says meanwhile is not heard."""
    structlog.configure(processors=[unheard])
    stories = []
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="staunch-sim-") as folder, kept_to_the_end():
            stories.append(tell(seed, Path(folder)))
    return stories


@contextmanager
def kept_to_the_end() -> Iterator[None]:
    """Let go of a story's plans when it is over, and hear nothing of it.

    All plans share this process. The collector would otherwise close one that a dead engine left
    behind in the midst of another's Turn, and what it complains of would be printed there.
    """
    was_on, hook = gc.isenabled(), sys.unraisablehook
    gc.disable()
    gc.freeze()
    try:
        yield
        sys.unraisablehook = lambda _: None
        gc.collect()
    finally:
        sys.unraisablehook = hook
        gc.unfreeze()
        if was_on:
            gc.enable()


def unheard(*_: object) -> Any:
    """A log processor that lets nothing through."""
    raise structlog.DropEvent


def tell(seed: int, folder: Path) -> Story:
    """Play one seed."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_tell(seed, folder))


async def _tell(seed: int, folder: Path) -> Story:
    world = World(seed, folder)
    verdicts = await world.play()
    trace = hashlib.sha256()
    turns = 0
    for told in world.told:
        stored = await world.stored(told)
        turns += len(stored.turns)
        trace.update(repr((stored.inputs, [(t.sequence, t.turn) for t in stored.turns])).encode())
    return Story(seed, verdicts, trace.hexdigest()[:16], turns, world.lives)
