"""Acts: what tells a Run something and nothing more: cancel, pause, resume, kill. One table.

The pages offer the same acts (`web/acts.py`), from the same table.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from ci_host.access import Token
from ci_host.api.auth import Here, Person
from ci_host.api.runs import resolve
from ci_host.engine.people import People
from pipelines.ids import RunId

Do = Callable[[People, RunId, str, Token], Awaitable[None]]

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])


class ReasonBody(BaseModel):
    """Why; shown on the run's page. A resume needs none."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Act:
    """What is done, and what the API says of it."""

    do: Do
    summary: str
    description: str


async def _resume(people: People, run: RunId, _reason: str, who: Token) -> None:
    await people.resume(run, who)


ACTS = {
    "cancel": Act(
        People.cancel,
        "Cancel a run",
        "The plan's cleanup code still runs; then the run is `cancelled`.",
    ),
    "pause": Act(
        People.pause,
        "Pause a run",
        "It takes nothing in until it is resumed; jobs that have begun go on, and nothing is lost.",
    ),
    "resume": Act(
        _resume,
        "Let a paused run go on",
        "Whatever happened meanwhile is taken in, in the order in which it happened.",
    ),
    "kill": Act(
        People.kill,
        "End a run at once",
        "Without its cleanup code. Its jobs are cancelled, its gates closed.",
    ),
}


def _route(act: Act) -> Callable[..., Awaitable[dict[str, Any]]]:
    async def tell(
        here: Here, who: Person, run: str, body: ReasonBody | None = None
    ) -> dict[str, Any]:
        found = await resolve(here, run)
        await act.do(here.people, found, body.reason if body is not None else "", who)
        return {"run": found}

    return tell


for _name, _act in ACTS.items():
    router.add_api_route(
        f"/{{run}}/{_name}",
        _route(_act),
        methods=["POST"],
        status_code=202,
        name=f"{_name}_run",
        summary=_act.summary,
        description=_act.description,
    )
