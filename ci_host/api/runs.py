"""Routes of Runs: list, show, wait, start, answer gates, signal, retry, rerun; not acts.py's."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from ci_host.adapters.sql import queries
from ci_host.api import news, pools, views
from ci_host.api.asked import asked
from ci_host.api.auth import Here, Person, Seen
from ci_host.api.encoded import encoded
from ci_host.api.etags import note
from ci_host.api.idempotency import IdempotencyKey, one_key
from ci_host.api.problems import Problem
from ci_host.api.run_filters import RunFilters
from ci_host.api.saved_views import chosen
from ci_host.api.services import Services
from ci_host.api.sight import is_whole, more_than_one, no_such_run
from ci_host.api.standing_by import known_terminals
from ci_host.api.starting import Start, start, start_as
from ci_host.api.waiting import waiting
from ci_host.engine.asked_again import by_key
from ci_host.engine.people import Answer
from ci_host.engine.reruns import Wish
from pipelines import shell
from pipelines.ids import JobId, RunId, successor_id
from pipelines.priority import Priority
from pipelines.run import FINAL, RunState
from pipelines.supposed import NAMES_MAX, Supposed

WAIT_S_MAX = 60.0
FOLD_PATIENCE_S = 5.0
NAME_CHARS_MAX = 256

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])


class GateAnswer(BaseModel):
    """`inputs` must hold exactly what the gate asks for, if it is approved."""

    approved: bool = True
    inputs: dict[str, Any] = Field(default_factory=dict)
    comment: str = ""


class SignalBody(BaseModel):
    """`id` is the sender's own: the same id twice is one signal, and refused for another one."""

    name: str = Field(min_length=1, max_length=NAME_CHARS_MAX)
    payload: Any = None
    id: str = Field(default="", max_length=NAME_CHARS_MAX)


class RerunBody(BaseModel):
    """What the new attempt takes over: what succeeded, or only that before a step (its key).

    `priority`: null: that of the attempt before. `wait_s`: for how long its jobs wait for
    `staunch shell` after a step that failed; 0: they do not.
    """

    failed_only: bool = False
    from_step: str = ""
    priority: Priority | None = None
    wait_s: float = Field(default=0.0, ge=0, le=shell.WAIT_S_MAX)


class SupposedBody(BaseModel):
    """`only`: names of steps that are done, or globs; the others are taken to have succeeded.

    `values`: by the name of such a step what it hands over: outputs, inputs of a gate, a payload.
    """

    only: list[str] = Field(min_length=1, max_length=NAMES_MAX)
    values: dict[str, dict[str, Any]] = Field(default_factory=dict)


class StartBody(BaseModel):
    """A manual start. `key` makes it repeatable: the same key twice is one run, and refused for 30
    days for another start in the repository.

    `inputs` must be what the pipeline asks for with `on.manual(inputs=…)`. `priority`: null: what
    it declares with `on.priority`. `wait_s`: as of a rerun. `event`: not as a manual start but as
    this event, by its triggers; only where `staunch up --any-event` allows it. `pipeline` may be
    empty then: all that want it. `supposed`: not all of its steps are done; only there, too.
    """

    repo: str
    ref: str = ""
    commit: str
    pipeline: str = "pipeline"
    key: str = ""
    inputs: dict[str, Any] = Field(default_factory=dict)
    priority: Priority | None = None
    wait_s: float = Field(default=0.0, ge=0, le=shell.WAIT_S_MAX)
    event: dict[str, Any] | None = None
    supposed: SupposedBody | None = None


async def resolve(here: Services, text: str) -> RunId:
    """A run id from what a person typed: the id, or a beginning of it that only one has."""
    if is_whole(here, text) and await here.history.started(RunId(text)) is not None:
        return RunId(text)
    found = await asyncio.to_thread(queries.find_runs, here.model, text)
    if len(found) == 1:
        return RunId(found[0])
    raise more_than_one(text, found) if found else no_such_run(text)


@router.get("", summary="List runs, newest first", response_model=dict[str, Any])
async def list_runs(
    here: Here,
    who: Person,
    seen: Seen,
    request: Request,
    wanted: Annotated[RunFilters, Depends(asked(RunFilters))],
    view: Annotated[str, Query(max_length=NAME_CHARS_MAX)] = "",
    before: float | None = None,
    limit: Annotated[int, Query(ge=1, le=queries.PAGE_MAX)] = 50,
) -> Response:
    """`before` is the `created_at` of the last run of the page before; `next` gives it. `since` and
    `until`: a day, how long ago (`7d`, `12h`), ISO 8601 or seconds since the epoch. `view`: a saved
    view's filters, where the address has none of its own."""
    filters = await chosen(here, who, wanted, view)
    wish = filters.wish(here.now(), seen.repos, before, limit)
    state = here.model.state
    # A time of a moment ago is another each time.
    if state is not None and wish.since is None and wish.until is None:
        made_of = ("runs", wish, state)
        if same := here.told.again(request, made_of):
            return same
        note(request, made_of)
    rows = await asyncio.to_thread(queries.list_runs, here.model, wish)
    url = here.settings.url
    following = rows[-1].created_at if len(rows) == limit else None
    return encoded({"runs": [views.run_view(row, url) for row in rows], "next": following})


@router.post("", status_code=201, summary="Start a run by hand")
async def start_run(
    here: Here, who: Person, body: StartBody, again: IdempotencyKey
) -> dict[str, Any]:
    """The code is what the repository holds at `commit`; one that ran before starts at once.

    `told`: what is to be said beside, as of pipelines that an event does not start.
    """
    key = one_key(again, body.key)
    what = (body.repo, body.commit, body.ref, body.pipeline, key, body.inputs)
    supposed = None
    if body.supposed is not None:
        supposed = Supposed(only=body.supposed.only, values=body.supposed.values)
    wish = Start(*what, body.priority, body.wait_s, supposed)
    if body.event is not None:
        begun = await start_as(here, who, wish, body.event)
        return {"runs": begun.runs, "told": begun.reason}
    return {"runs": await start(here, who, wish), "told": ""}


@router.get(
    "/{run}",
    summary="One run with its steps, attempts and history",
    response_model=dict[str, Any],
)
async def show_run(here: Here, _who: Person, request: Request, run: str) -> Response:
    """What the read model knows: all that was decided before, unless it is seconds behind."""
    wanted = await durable(here, run)
    state, terminals = here.model.state, await here.shell_store.of_run(wanted.run)
    made_of = (wanted, repr(terminals), state)
    if state is not None and (same := here.told.again(request, made_of)):
        return same
    detail = await folded(here, wanted)
    found = await pools_for(here, detail)
    # What the pools say is of this moment, and comes from elsewhere.
    if state is not None and found is None:
        note(request, made_of)
    seen = known_terminals(detail, terminals)
    return encoded(views.detail_view(detail, here.settings.url, found, seen))


async def pools_for(here: Services, detail: queries.RunDetail) -> pools.Pools | None:
    """The pools, where a job of the Run waits for a runner or is with one: nobody else asks."""
    if not any(one.get("phase") in ("queued", "running") for one in waiting(detail)):
        return None
    queued = [one.job for one in detail.attempts if one.started_at is None]
    found = {job: held for job in queued if (held := here.dispatcher.why(JobId(job)))}
    return await pools.alive(here.bus, found)


@dataclass(frozen=True, slots=True)
class Durable:
    """A Run, and through which message of its stream its Turns are durable."""

    run: RunId
    through: int


async def durable(here: Services, text: str) -> Durable:
    """What a person typed, as `resolve` finds it, and how far it is now. Raises Problem."""
    if is_whole(here, text) and (through := await here.history.turns_through(RunId(text))):
        # What has made a Turn has begun: nobody need be asked whether there is one.
        return Durable(RunId(text), through)
    found = await resolve(here, text)
    return Durable(found, await here.history.turns_through(found))


async def folded(here: Services, wanted: Durable) -> queries.RunDetail:
    """The Run as the read model has it, with every Turn that is durable now.

    One that has only just begun is waited for. A read model that is far behind is not: it is shown
    as it is.
    """
    run = wanted.run
    patient_until = asyncio.get_running_loop().time() + FOLD_PATIENCE_S
    async with here.news.watching(news.folded(run)) as watch:
        while True:
            detail = await asyncio.to_thread(queries.run_detail, here.model, run)
            is_late = asyncio.get_running_loop().time() > patient_until
            if detail is not None and (is_late or _reaches(detail, wanted.through)):
                return detail
            if is_late:
                why = f"Run {run} has only just begun; try again in a moment."
                raise Problem(503, "Not there yet", why)
            await watch.wait_news()


def _reaches(detail: queries.RunDetail, through: int) -> bool:
    return max((turn.sequence for turn in detail.turns), default=0) >= through


@router.get("/{run}/wait", summary="Wait until a run is over")
async def wait_run(
    here: Here, _who: Person, run: str, timeout_s: Annotated[float, Query(ge=0)] = WAIT_S_MAX
) -> dict[str, Any]:
    """Answers when the run is over, or after `timeout_s` with the state it is in then.

    One that was continued is over when its last successor is: then `run` is that one.
    """
    # A whole id is not looked up first: whoever waits for a run has just been told it.
    found = RunId(run) if is_whole(here, run) else await resolve(here, run)
    asked, is_over = found, False
    try:
        async with asyncio.timeout(min(timeout_s, WAIT_S_MAX)):
            # A successor may not be begun yet: then nobody knows it, and it will be.
            while await _end_of(here, found, is_sure=found != asked) is RunState.CONTINUED:
                found = successor_id(found)
            is_over = True
    except TimeoutError:
        pass
    state = await here.history.state(found) or RunState.PENDING
    return {"run": found, "state": state, "over": is_over}


async def _end_of(here: Services, run: RunId, *, is_sure: bool) -> RunState:
    async with here.news.watching(run) as watch:
        while (state := await here.history.state(run)) is None or state not in FINAL:
            if state is None and not is_sure:
                await resolve(here, run)
            await watch.wait_news()
        return state


@router.post("/{run}/gates/{key:path}", summary="Approve or reject at a gate")
async def answer_gate(
    here: Here, who: Person, run: str, key: str, body: GateAnswer
) -> dict[str, Any]:
    """Accepted from one of its approvers only, once, while it waits, with the inputs it wants."""
    found = await resolve(here, run)
    await here.people.answer_gate(found, key, who, Answer(body.approved, body.inputs, body.comment))
    return {"run": found, "gate": key, "approved": body.approved, "by": who.name}


@router.post("/{run}/signals", status_code=202, summary="Send a signal to a run")
async def send_signal(
    here: Here, who: Person, run: str, body: SignalBody, again: IdempotencyKey
) -> dict[str, Any]:
    """Kept if nobody waits for it yet."""
    found = await resolve(here, run)
    await here.people.signal(found, body.name, body.payload, who, one_key(again, body.id))
    return {"run": found, "signal": body.name}


@router.post("/{run}/steps/{key:path}/retry", status_code=202, summary="Retry a step now")
async def retry_step(here: Here, who: Person, run: str, key: str) -> dict[str, Any]:
    """Ends the pause before the step's next attempt. Refused where nothing pauses."""
    found = await resolve(here, run)
    attempt = await here.people.retry_now(found, key, who)
    return {"run": found, "step": key, "attempt": attempt}


@router.post("/{run}/rerun", status_code=201, summary="Run it again as its next attempt")
async def rerun(
    here: Here, who: Person, run: str, body: RerunBody, again: IdempotencyKey
) -> dict[str, Any]:
    """Same commit, same pipeline, same event. What it takes over is not done again."""
    found = await resolve(here, run)
    wish = Wish(body.failed_only, body.from_step, body.priority, body.wait_s)
    begun = await here.reruns.rerun(found, wish, who, asked=by_key(again))
    return {"run": begun.run, "attempt": begun.attempt, "of": found, "recalled": begun.recalled}
