"""Children: Runs that Runs ask for with `step.call` and `step.start`.

They are effects like any other: made after the Turn that wants them, and made again by whoever
repairs. A child's id is derived from its parent's, so making it twice makes one. What a child may
reach is decided here: the plan names a pipeline of its own Bundle, and nothing else.
"""

from ci_host.engine.continuations import end_of_chain
from ci_host.ports import HistoryStore
from pipelines.commands import OpenCall
from pipelines.events import CancelRequested, ChildFinished, Parent, RunStarted
from pipelines.history import HistoryView
from pipelines.ids import RunId, StepKey, child_id
from pipelines.run import FINAL
from pipelines.turn import Turn


class Children:
    """Over the Histories of parents and children alike. Every act may be repeated."""

    def __init__(self, history: HistoryStore) -> None:
        self._history = history

    async def begin(self, parent: RunStarted, view: HistoryView, call: OpenCall) -> None:
        """Begin the child that this call asked for."""
        asked = view.calls[call.key]
        run = child_of(parent, call.key)
        above = parent.parent.depth if parent.parent else 0
        started = RunStarted(
            run=run,
            repo=parent.repo,
            repo_name=parent.repo_name,
            connection=parent.connection,
            pipeline=asked.pipeline,
            file=asked.file,
            bundle=parent.bundle,
            source=parent.source,
            event=parent.event,
            inputs=asked.inputs,
            parent=Parent(
                run=parent.run,
                key=call.key,
                depth=above + 1,
                detached=asked.detached,
                causes=_causes(parent),
            ),
            shards=parent.shards,
            priority=parent.priority,
            wait=parent.wait,
            verdict=parent.verdict,
        )
        await self._history.create(run, started)

    async def stop(self, parent: RunStarted, view: HistoryView, call: OpenCall) -> None:
        """Ask the child to end, also if it goes on as another Run.

        One that was never begun is begun first: its end must be told.
        """
        await self.begin(parent, view, call)
        run = child_of(parent, call.key)
        if await self._is_over(await end_of_chain(self._history, run)):
            return
        reason = f"run {parent.run} no longer waits for it"
        wish = CancelRequested(id=f"parent:{parent.run}", by=f"run {parent.run}", reason=reason)
        await self._history.append_input(run, wish)

    async def tell_parent(self, child: RunStarted, last: Turn) -> None:
        """Tell whoever waits for this Run that it is over, and how."""
        parent = child.parent
        if parent is None or parent.detached or last.end is None:
            return
        # Two Runs that are over would otherwise wake each other for ever.
        if await self._is_over(RunId(parent.run)):
            return
        told = ChildFinished(
            key=parent.key,
            run=child.run,
            state=last.end.state,
            output=last.end.output,
            error=last.end.error,
        )
        await self._history.append_input(RunId(parent.run), told)

    async def _is_over(self, run: RunId) -> bool:
        return await self._history.state(run) in FINAL


def _causes(parent: RunStarted) -> list[str]:
    """Who caused a Run, besides those whom its event names: that goes on to its children."""
    found = [*(parent.parent.causes if parent.parent else [])]
    found += parent.continues.causes if parent.continues else []
    found += [act.by for act in (parent.rerun, parent.fork) if act is not None]
    return list(dict.fromkeys(found))


def child_of(parent: RunStarted, key: str) -> RunId:
    """The id of the Run that this call of `parent` begins."""
    return child_id(RunId(parent.run), StepKey(key), parent.shards)
