"""Beginnings: how earlier Runs of a commit began, so that another can be started from the same."""

import asyncio
from collections import OrderedDict

import msgspec

from ci_host.adapters.sql import queries
from ci_host.adapters.sql.read_model import ReadModel
from ci_host.ports import HistoryStore
from pipelines.events import RunStarted
from pipelines.ids import RunId

BEGINNINGS_KEPT_MAX = 1_000


class Beginnings:
    """How earlier Runs of a commit began. Kept in memory: what a commit holds never changes."""

    def __init__(self, model: ReadModel, history: HistoryStore) -> None:
        self._model = model
        self._history = history
        self._kept: OrderedDict[tuple[str, str, str], RunStarted] = OrderedDict()

    async def earlier(self, repo: str, commit: str, pipeline: str) -> RunStarted | None:
        """The beginning of a Run of this pipeline at this commit, or None if there was none."""
        key = (repo, commit, pipeline)
        if key not in self._kept:
            row = await asyncio.to_thread(queries.latest_run, self._model, *key)
            found = None if row is None else await self._history.started(RunId(row.id))
            if found is None:
                return None
            self._kept[key] = _anew(found)
            if len(self._kept) > BEGINNINGS_KEPT_MAX:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


def _anew(started: RunStarted) -> RunStarted:
    """The code and the commit; what that one Run was given, or took over, is not passed on."""
    return msgspec.structs.replace(started, rerun=None, recalled=[], inputs=None)
