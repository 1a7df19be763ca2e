"""MemoryShells: records of terminals in memory. See ShellStore."""

from ci_host.shell_ports import Terminals
from pipelines.ids import JobId, RunId
from pipelines.shell import Session, Standby


class MemoryShells:
    """`holders`: which Runner holds which Attempt."""

    def __init__(self) -> None:
        self.holders: dict[str, str] = {}
        self.told: dict[str, Standby] = {}
        self._sessions: dict[str, Session] = {}

    async def standing_by(self, job: JobId) -> Standby | None:
        standby = self.told.get(job)
        if standby is None or self.holders.get(job) != standby.runner:
            return None
        return standby

    async def keep(self, session: Session) -> None:
        self._sessions[session.id] = session

    async def of_run(self, run: RunId) -> Terminals:
        ours = {job: one for job, one in self.told.items() if job.startswith(f"{run}.")}
        found = [one for one in self._sessions.values() if one.job.startswith(f"{run}.")]
        return Terminals(ours, sorted(found, key=lambda one: one.opened_at))
