"""MemoryTrust and MemoryPulls: trust in memory, for tests and simulation."""

from collections.abc import Sequence

from ci_host.trust_ports import Held
from pipelines.repo import Repo
from pipelines.trust import Approval, PullFacts, TrustPolicy
from webhooks.forge import Later, Refused


class MemoryTrust:
    """See TrustStore."""

    def __init__(self) -> None:
        self._policies: dict[str, TrustPolicy] = {}
        self._held: dict[tuple[str, int], Held] = {}
        self._approvals: dict[tuple[str, int, str], Approval] = {}

    async def policies(self) -> Sequence[TrustPolicy]:
        return list(self._policies.values())

    async def put_policy(self, policy: TrustPolicy) -> None:
        self._policies[policy.scope] = policy

    async def hold(self, held: Held) -> None:
        # Held anew, it is the newest.
        self._held.pop((held.repo, held.number), None)
        self._held[held.repo, held.number] = held

    async def held(self, repo: str, number: int) -> Held | None:
        return self._held.get((repo, number))

    async def all_held(self) -> Sequence[Held]:
        return list(self._held.values())

    async def all_approvals(self) -> Sequence[Approval]:
        return list(self._approvals.values())

    async def approve(self, approval: Approval) -> Approval:
        key = (approval.repo, approval.number, approval.commit)
        return self._approvals.setdefault(key, approval)

    async def approval(self, repo: str, number: int, commit: str) -> Approval | None:
        return self._approvals.get((repo, number, commit))


class MemoryPulls:
    """See Pulls: what a test has the Forge say, by number and by login; of others nothing."""

    def __init__(self) -> None:
        self.told: dict[int, PullFacts | Later | Refused] = {}
        self.writers: dict[str, bool | Later | Refused] = {}

    async def facts(self, repo: Repo, number: int) -> PullFacts | Later | Refused | None:
        return self.told.get(number)

    async def may_write(self, repo: Repo, login: str) -> bool | Later | Refused | None:
        return self.writers.get(login)
