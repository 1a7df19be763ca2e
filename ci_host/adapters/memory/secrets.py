"""MemorySecrets: the envelopes of secrets in memory. Implements SecretStore."""

from ci_host.envelopes import StoredSecret
from ci_host.ports import Conflict
from ci_host.secret_ports import KeptSecret
from pipelines.ids import JobId
from pipelines.job import Lease
from pipelines.secret import NamedScope


class MemorySecrets:
    """See SecretStore. `leases` are whoever's the test says."""

    def __init__(self) -> None:
        self.leases: dict[str, Lease] = {}
        self._kept: list[KeptSecret] = []
        self._revision = 0

    async def all(self) -> list[KeptSecret]:
        return list(self._kept)

    async def find(self, named: NamedScope) -> KeptSecret | None:
        return next((one for one in self._kept if one.secret.named == named), None)

    async def write(self, secret: StoredSecret, *, after: int) -> None:
        kept = await self.find(secret.named)
        if (0 if kept is None else kept.revision) != after:
            raise Conflict(f"{secret.name} has changed")
        self._revision += 1
        await self.remove(secret.named)
        self._kept.append(KeptSecret(self._revision, secret))

    async def remove(self, named: NamedScope) -> None:
        self._kept = [one for one in self._kept if one.secret.named != named]

    async def holder(self, job: JobId) -> Lease | None:
        return self.leases.get(job)
