"""Route of forks: a new Run from one that is over, with other inputs or the code of another commit.

On its own code it begins at once. Another commit goes the way of a start by hand: an engine fetches
and prepares it.
"""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from ci_host.api.auth import Here, Person
from ci_host.api.idempotency import IdempotencyKey, one_key
from ci_host.api.runs import NAME_CHARS_MAX, resolve
from ci_host.api.starting import begin_by_delivery, find_repo
from ci_host.engine.asked_again import check_same
from ci_host.engine.forks import ForkWish
from ci_host.engine.people import PersonRefused, check_sendable
from pipelines.event import Event, EventKind
from pipelines.events import Fork
from pipelines.ids import RunId
from pipelines.priority import Priority
from webhooks.manual import ManualStart, manual_id

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])


class ForkBody(BaseModel):
    """What is to differ. `inputs` replace those of the same name. `commit` empty: the same code.

    `from_step`: take over what was there before that step (its key). `key`: the same twice is one,
    and refused with another wish for a fork of this run. `priority`: null: that of the run.
    """

    inputs: dict[str, Any] = Field(default_factory=dict)
    from_step: str = ""
    commit: str = ""
    key: str = Field(default="", max_length=NAME_CHARS_MAX)
    priority: Priority | None = None


@router.post("/{run}/fork", status_code=201, summary="Make a new run from one that is over")
async def fork(
    here: Here, who: Person, run: str, body: ForkBody, again: IdempotencyKey
) -> dict[str, Any]:
    """With other inputs, or the code of another commit. The forge is told nothing of it."""
    found = await resolve(here, run)
    # Apart from the keys of starts, and from those of forks of other Runs.
    wished = one_key(again, body.key)
    key = manual_id(f"fork {found} {wished}" if wished else here.new_id())
    started = await here.history.started(found)
    if started is None:
        raise PersonRefused(409, f"run {found} was imported: there is only a record of it here")
    if body.commit in ("", started.event.commit):
        beginning = await here.beginnings.of(found)
        entry = None if beginning is None else beginning.entry
        wish = ForkWish(key, body.inputs, body.from_step, body.priority, wished)
        made = await here.forks.fork(found, wish, who.name, entry)
        return {"run": made.run, "of": found, "recalled": made.recalled}
    check_sendable("the inputs", body.inputs)
    repo = find_repo(here, started.repo)
    asked = ManualStart(
        external_id=repo.external_id,
        name=repo.name,
        event=Event(
            kind=EventKind.MANUAL, ref=started.event.ref, commit=body.commit, sender=who.name
        ),
        pipeline=started.pipeline,
        inputs=body.inputs,
        fork=Fork(of=found, by=who.name, from_step=body.from_step),
        priority=body.priority,
    )
    if wished and (before := await here.history.started(here.forks.run_of(found, key))):
        # It may be of the Run's own code, of which there is no Delivery.
        check_same(wished, {"commit": before.event.commit}, {"commit": body.commit})
    begun = await begin_by_delivery(here, repo, asked, key, wished)
    (made_run,) = begun.runs
    first = await here.history.started(RunId(made_run))
    return {"run": made_run, "of": found, "recalled": len(first.recalled) if first else 0}
