"""Routes of runners: those that are alive, and those of other machines that are registered."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from ci_host.adapters.nats import subjects
from ci_host.api.auth import Admin, Here, Person
from ci_host.api.paging import PAGE_MAX, PageSize, Place, moment, page_of
from ci_host.registration import INVITED_S, INVITED_S_MAX, Registration
from pipelines.trust import Tier

router = APIRouter(prefix="/api/v1", tags=["runners"])

RunnerId = Annotated[str, Path(max_length=200)]


class InvitationBody(BaseModel):
    """A runner to come. `single`: it takes one job and ends, as an autoscaler wants it. Left out,
    it does where its pool is for jobs of changes that are not trusted."""

    pool: str = Field(default="default", max_length=64)
    name: str = Field(default="", max_length=40)
    single: bool | None = None
    minutes: float = Field(default=INVITED_S / 60, gt=0, le=INVITED_S_MAX / 60)


@router.get("/runners", summary="List runners that are alive")
async def list_runners(here: Here, _who: Person) -> dict[str, Any]:
    """From their heartbeats; one that was silent for 90 s is not listed."""
    beats = await here.bus.read(subjects.RUNNERS, "runner.*")
    return {"runners": [msgspec.json.decode(beat.body) for beat in beats]}


@router.get("/runners/registered", summary="List registered runners")
async def list_registered(
    here: Here, _who: Person, before: Place = "", limit: PageSize = PAGE_MAX
) -> dict[str, Any]:
    """Those of other machines, the newest first, also those that are revoked. `next` is the
    following page's `before`."""
    beats = await here.bus.read(subjects.RUNNERS, "runner.*")
    alive = {beat.subject.partition(".")[2]: beat.at for beat in beats}
    known = await here.registrations.all()
    page = page_of(known, _place, before, limit, is_backwards=True)
    shown = [_view(one, here.now(), alive.get(one.id)) for one in page.found]
    return {"runners": shown, "next": page.next}


def _place(made: Registration) -> str:
    return f"{moment(made.invited_at)} {made.id}"


@router.post("/runners/invitations", status_code=201, summary="Invite a runner")
async def invite(here: Here, who: Admin, body: InvitationBody) -> dict[str, Any]:
    """`join` is the word that the machine joins with: it is answered once, and good for one runner.
    Its pool is decided here: the runner cannot change it."""
    is_single = body.single
    if is_single is None:
        rules = {rule.pool: rule for rule in await here.catalog.pool_rules()}
        is_single = body.pool in rules and rules[body.pool].tier is Tier.UNTRUSTED
    made, word = await here.registrations.invite(
        body.pool,
        who.name,
        name=body.name,
        is_single=is_single,
        good_for_s=body.minutes * 60,
    )
    return {**_view(made, here.now(), None), "join": word}


@router.post("/runners/{runner}/revoke", summary="Revoke a runner")
async def revoke(here: Here, who: Admin, runner: RunnerId) -> dict[str, Any]:
    """Its connections are ended at once, and it is let in no more; its jobs count as lost."""
    made = await here.registrations.revoke(runner, who.name)
    return _view(made, here.now(), None)


@router.post("/runners/{runner}/drain", summary="Have a runner take no further job")
async def drain(here: Here, who: Admin, runner: RunnerId) -> dict[str, Any]:
    """Those that it has go on. It hears of it with its next sign of life, within 5 s."""
    made = await here.registrations.drain(runner, who.name, is_draining=True)
    return _view(made, here.now(), None)


@router.post("/runners/{runner}/resume", summary="Have a drained runner take jobs again")
async def resume(here: Here, who: Admin, runner: RunnerId) -> dict[str, Any]:
    """The inverse of drain."""
    made = await here.registrations.drain(runner, who.name, is_draining=False)
    return _view(made, here.now(), None)


def _view(made: Registration, now: float, heard_at: float | None) -> dict[str, Any]:
    return {
        "runner": made.id,
        "pool": made.pool,
        "state": made.state(now),
        "single": made.is_single,
        "invited_by": made.invited_by,
        "invited_at": made.invited_at,
        "invited_until": made.invited_until,
        "joined_at": made.joined_at or None,
        "revoked_by": made.revoked_by,
        "revoked_at": made.revoked_at or None,
        "heard_at": heard_at,
    }
