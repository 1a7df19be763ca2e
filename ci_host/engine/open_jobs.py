"""Open jobs: what the plan asked for with an Attempt that it still wants, out of the History."""

from ci_host.ports import HistoryStore
from pipelines.commands import StepKind
from pipelines.ids import RunId, StepKey, job_id
from pipelines.job import JobRequest
from pipelines.turn import Turn


async def open_request(history: HistoryStore, run: RunId, job: str) -> JobRequest | None:
    """The request of this Attempt; None where it is wanted no more, or is being cancelled.

    Raises Unavailable, Damaged.
    """
    last = await history.last_turn(run)
    wanted = [] if last is None else last.turn.open.jobs
    found = (o for o in wanted if job_id(run, StepKey(o.key), o.attempt) == job)
    one = next(found, None)
    if last is None or one is None or one.cancelling:
        return None
    asked = _request_in(last.turn, one.key, one.attempt)
    if asked is None:
        turns = (await history.read(run)).turns
        requests = (_request_in(stored.turn, one.key, one.attempt) for stored in turns)
        asked = next((request for request in requests if request is not None), None)
    return asked


def _request_in(turn: Turn, key: str, attempt: int) -> JobRequest | None:
    """What was asked for in this Turn for the Attempt."""
    for command in turn.commands:
        if command.kind is StepKind.JOB and (command.key, command.attempt) == (key, attempt):
            return command.request
    return None
