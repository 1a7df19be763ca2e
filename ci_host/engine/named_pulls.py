"""NamedPulls: Pulls whose answers that follow from a name alone are confirmed. See `renames`."""

from ci_host.engine.renames import Renames
from ci_host.ports import SourceRefused
from ci_host.trust_ports import Pulls
from pipelines.repo import Repo
from pipelines.trust import PullFacts
from webhooks.forge import Later, Refused


class NamedPulls:
    """See Pulls."""

    def __init__(self, pulls: Pulls, renames: Renames) -> None:
        self._pulls, self._renames = pulls, renames

    async def facts(self, repo: Repo, number: int) -> PullFacts | Later | Refused | None:
        """They name their repository by its id, and are taken of no other one."""
        return await self._pulls.facts(repo, number)

    async def may_write(self, repo: Repo, login: str) -> bool | Later | Refused | None:
        """Whoever took a name may write to what is there now, and to nothing of ours."""
        told = await self._pulls.may_write(repo, login)
        if told is not True:
            return told
        try:
            named = await self._renames.check(repo)
        except SourceRefused as refused:
            return Refused(str(refused))
        if isinstance(named, Later):
            return named
        return True if named == repo else Later(f"it is called {named.name} by now; asked again")
