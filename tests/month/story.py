"""Story: a seed's month, told and judged, on a loop of its own with a virtual clock."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from tests.month.judge import judge
from tests.month.play import Month
from tests.sim.loop import VirtualLoop


@dataclass
class Story:
    """What happened, in one line, and what was wrong."""

    words: str
    wrong: list[str] = field(default_factory=list)


def tell(seed: int, *, reconciles: bool = True) -> Story:
    """Play it. The log is off meanwhile."""
    structlog.configure(processors=[_unheard])
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        return runner.run(_tell(Month(seed, Path(folder), reconciles=reconciles)))


async def _tell(month: Month) -> Story:
    await month.play()
    wrong = await judge(month)
    heads = sum(len(repo.heads) for repo in month.forge.repos.values())
    calls = len(month.inbox.deliveries)
    healed = sum(1 for one in month.inbox.deliveries.values() if one.event.startswith("staunch."))
    told = sum(len(states) for states in month.forge.told.values())
    runs = len(month.history.runs())
    words = (
        f"{heads} heads, {calls} deliveries ({healed} of them found by looking {month.looks}"
        f" times), {runs} runs,"
        f" {told} statuses, {month.lives} lives of the host"
    )
    return Story(words, wrong)


def _unheard(_logger: object, _name: str, _event: object) -> str:
    raise structlog.DropEvent
