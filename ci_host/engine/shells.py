"""Shells: who may open a terminal in a Job that waits after a failed step, and the record of it.

A Session is written before its terminal is opened, so that there is none without a record. What is
typed and shown is nobody's record. How bytes travel is `api/shells.py`'s and the adapters'.
"""

from collections.abc import Callable

import msgspec
import structlog

from ci_host.access import Token
from ci_host.engine.open_jobs import open_request
from ci_host.engine.people import PersonRefused
from ci_host.ports import HistoryStore
from ci_host.shell_ports import ShellStore
from pipelines.events import RunStarted
from pipelines.ids import JobId, RunId, is_run_id
from pipelines.job import JobRequest
from pipelines.shell import Session, Standby, may_open
from pipelines.trust import Tier

HOW = (
    'a job waits after a failed step if its pipeline says step.job(…, wait_on_failure="30m"), or if'
    " somebody runs it again with `staunch rerun --wait-on-failure 30m`"
)

log = structlog.get_logger()


class Shells:
    """`new_id` gives an id that was never used; `now` the time in seconds."""

    def __init__(
        self,
        store: ShellStore,
        history: HistoryStore,
        *,
        now: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._history = history
        self._now = now
        self._new_id = new_id

    async def admit(self, job: JobId, who: Token) -> Standby:
        """The Job that waits, if this person may look into it. Raises PersonRefused."""
        run = RunId(job.partition(".")[0])
        started = await self._history.started(run) if is_run_id(run) else None
        if started is None:
            raise PersonRefused(404, f"there is no job {job}; `staunch show <run>` lists them")
        request = await open_request(self._history, run, job)
        if request is None:
            raise PersonRefused(409, f"job {job} is over, or being ended; {HOW}")
        _check_person(job, started, request, who)
        standby = await self._store.standing_by(job)
        if standby is None:
            raise PersonRefused(409, f"job {job} does not wait for a terminal; {HOW}")
        if self._now() >= standby.until:
            raise PersonRefused(409, f"job {job} waits no longer: its time was up")
        return standby

    async def begin(self, job: JobId, who: Token) -> Session:
        """The record, durable before anything is opened."""
        session = Session(id=self._new_id(), job=job, by=who.name, opened_at=self._now())
        await self._store.keep(session)
        log.info("shell_opened", job=job, by=who.name, session=session.id)
        return session

    async def end(self, session: Session, why: str) -> None:
        """The record of its end."""
        closed = msgspec.structs.replace(session, closed_at=self._now(), why=why)
        await self._store.keep(closed)
        log.info("shell_closed", job=session.job, by=session.by, session=session.id, why=why)


def _check_person(job: str, started: RunStarted, request: JobRequest, who: Token) -> None:
    """Raises PersonRefused."""
    if started.tier is not Tier.TRUSTED:
        raise PersonRefused(
            403, f"job {job} runs a fork's changes: nobody opens a terminal among a stranger's code"
        )
    if who.admin:
        return
    wisher = "" if started.wait is msgspec.UNSET else started.wait.by
    if may_open(
        who.name,
        who.teams,
        debuggers=request.debuggers,
        wisher=wisher,
        is_confided=request.is_confided,
    ):
        return
    named = ", ".join(request.debuggers)
    others = f", and its debuggers: {named}" if named else ""
    secrets = " It has secrets, which whoever is in it can read." if request.is_confided else ""
    raise PersonRefused(
        403,
        f"{who.name} may not open a terminal in job {job}: administrators may{others}.{secrets}"
        ' A pipeline names more with step.job(…, debuggers=["@team"])',
    )
