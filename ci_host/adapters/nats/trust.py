"""NatsTrust: policies, what is held, and approvals, on JetStream. Implements TrustStore.

Policies are settings, and kept like them; what is held and what was approved is forgotten after 90
days: a commit that is told of again then waits again.
"""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.trust_ports import Held
from pipelines.trust import Approval, TrustPolicy

T = TypeVar("T")


class NatsTrust:
    """See TrustStore."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def policies(self) -> Sequence[TrustPolicy]:
        return await self._all(subjects.CONFIG, "config.trust.*", TrustPolicy)

    async def put_policy(self, policy: TrustPolicy) -> None:
        subject = subjects.config("trust", policy.scope)
        await self._bus.publish(subject, msgspec.json.encode(policy))

    async def hold(self, held: Held) -> None:
        subject = subjects.held(held.repo, held.number)
        await self._bus.publish(subject, msgspec.json.encode(held))

    async def held(self, repo: str, number: int) -> Held | None:
        stored = await self._bus.newest(subjects.TRUST, subjects.held(repo, number))
        return None if stored is None else msgspec.json.decode(stored.body, type=Held)

    async def all_held(self) -> Sequence[Held]:
        return await self._all(subjects.TRUST, "trust.held.>", Held)

    async def all_approvals(self) -> Sequence[Approval]:
        return await self._all(subjects.TRUST, "trust.approval.>", Approval)

    async def approve(self, approval: Approval) -> Approval:
        subject = subjects.approval(approval.repo, approval.number, approval.commit)
        if await self._bus.put_once(subject, msgspec.json.encode(approval)):
            return approval
        there = await self.approval(approval.repo, approval.number, approval.commit)
        assert there is not None, "what conflicts exists"
        return there

    async def approval(self, repo: str, number: int, commit: str) -> Approval | None:
        # The leader's answer: who has just approved must not be held once more.
        subject = subjects.approval(repo, number, commit)
        stored = await self._bus.newest(subjects.TRUST, subject)
        return None if stored is None else msgspec.json.decode(stored.body, type=Approval)

    async def _all(self, stream: str, subject: str, form: type[T]) -> list[T]:
        found = await self._bus.read(stream, subject)
        return [msgspec.json.decode(one.body, type=form) for one in found]
