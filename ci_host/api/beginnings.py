"""Beginnings: how earlier Runs of a commit began, so that another can be started from the same."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

import msgspec

from ci_host.adapters.sql import queries
from ci_host.adapters.sql.read_model import ReadModel
from ci_host.ports import Bundles, HistoryStore
from pipelines.bundle import PipelineEntry, Prepared
from pipelines.events import RunStarted
from pipelines.ids import Digest, RunId

BEGINNINGS_KEPT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a Run began, and what its pipeline said of itself then."""

    started: RunStarted
    entry: PipelineEntry


class Beginnings:
    """How earlier Runs of a commit began. Kept in memory: what a commit holds never changes."""

    def __init__(self, model: ReadModel, history: HistoryStore, bundles: Bundles) -> None:
        self._model = model
        self._history = history
        self._bundles = bundles
        self._kept: OrderedDict[tuple[str, str, str], Beginning] = OrderedDict()

    async def earlier(self, repo: str, commit: str, pipeline: str) -> Beginning | None:
        """How a Run of this pipeline at this commit began; None: none did, or none got so far."""
        key = (repo, commit, pipeline)
        if key not in self._kept:
            row = await asyncio.to_thread(queries.latest_run, self._model, *key)
            found = None if row is None else await self.of(RunId(row.id))
            if found is None:
                return None
            self._kept[key] = Beginning(_anew(found.started), found.entry)
            if len(self._kept) > BEGINNINGS_KEPT_MAX:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    async def of(self, run: RunId) -> Beginning | None:
        """How this Run began; None where it has not come to load its code."""
        started, first = await self._history.started(run), await self._history.first_turn(run)
        pins = None if first is None else first.turn.pins
        if started is None or pins is None:
            return None
        content = await self._bundles.get_prepared(Digest(pins.bundle), Digest(pins.image))
        if content is None:
            return None
        prepared = msgspec.json.decode(content, type=Prepared)
        entry = next((one for one in prepared.pipelines if one.file == started.file), None)
        return None if entry is None else Beginning(started, entry)


def _anew(started: RunStarted) -> RunStarted:
    """The code and the commit; what that one Run was given, or took over, is not passed on."""
    return msgspec.structs.replace(
        started,
        rerun=None,
        fork=None,
        recalled=[],
        inputs=None,
        continues=None,
        priority=msgspec.UNSET,
        wait=msgspec.UNSET,
        supposed=msgspec.UNSET,
    )
