"""Standing by: jobs that wait for a terminal, and who had one, as a Run is shown.

Records are those of `waiting`; a job that waits after a failed step says so in place of running.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from ci_host.adapters.sql.queries import RunDetail
from ci_host.adapters.sql.tables import AttemptRow
from ci_host.api.services import Services
from ci_host.shell_ports import Terminals
from pipelines.ids import RunId, StepKey, job_id

Record = dict[str, Any]
PHASE = "standby"


async def terminals_of(here: Services, detail: RunDetail) -> Terminals:
    """Those of the Run's jobs. Raises Unavailable."""
    if not _has_jobs_here(detail):
        return Terminals()
    return await here.shell_store.of_run(RunId(detail.run.id))


def known_terminals(detail: RunDetail, terminals: Terminals) -> Terminals:
    """Of the Run's terminals those of jobs that the read model knows already."""
    return terminals if _has_jobs_here(detail) else Terminals()


def _has_jobs_here(detail: RunDetail) -> bool:
    return bool(detail.attempts) and not detail.run.is_imported


def with_standbys(run: str, records: Iterable[Record], terminals: Terminals) -> list[Record]:
    """What a Run waits for, with the jobs that wait for a terminal."""
    return [_with_standby(RunId(run), record, terminals) for record in records]


def _with_standby(run: RunId, record: Record, terminals: Terminals) -> Record:
    if record["kind"] != "job" or record.get("phase") != "running":
        return record
    job = job_id(run, StepKey(record["key"]), record["attempt"])
    standby = terminals.standing_by.get(job)
    if standby is None:
        return record
    said = (
        f"a terminal in job {record['key']}, which waits since step '{standby.step}' ended with"
        f" exit code {standby.exit_code}"
    )
    more = {"phase": PHASE, "since": standby.since, "until": standby.until, "words": said}
    return {**record, **more}


def shells(attempts: Iterable[AttemptRow], terminals: Terminals) -> list[Record]:
    """Who had a terminal in which job, from when to when, in order."""
    known = {one.job: one for one in attempts}
    return [
        {
            **msgspec.structs.asdict(session),
            "key": known[session.job].key,
            "attempt": known[session.job].attempt,
            # A record that its host could not end: the job's end was the terminal's.
            "closed_at": session.closed_at or known[session.job].finished_at,
        }
        for session in terminals.sessions
        if session.job in known
    ]
