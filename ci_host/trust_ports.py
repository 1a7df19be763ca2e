"""Ports of trust: who is asked about a pull request, and where approvals of commits are kept.

Here are contracts and the records that cross them. What follows from the answers is decided in
`pipelines/trust.py`; each has a contract suite under tests/contract.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pipelines.event import Event
from pipelines.repo import Repo
from pipelines.trust import Approval, PullFacts, TrustPolicy, Verdict
from webhooks.forge import Later, Refused


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request of which a commit waits for an approval: what would run, and why it waits.

    `name`: the Repo's, as the event said. `title` and `author` are a stranger's words.
    """

    repo: str
    name: str
    number: int
    commit: str
    event: Event
    verdict: Verdict
    at: float


class Pulls(Protocol):
    """What Forges say of pull requests, through their authenticated API."""

    async def facts(self, repo: Repo, number: int) -> PullFacts | Later | Refused | None:
        """As it is now; None: this Connection has no API that could be asked, or no token for it.

        Later: the Forge did not answer. Refused: it never will, as things are, and why.
        """

    async def may_write(self, repo: Repo, login: str) -> bool | Later | Refused | None:
        """Whether somebody of that login may push to the Repo now; the rest as `facts`."""


class TrustStore(Protocol):
    """Policies, what is held, and approvals. Any method may raise Unavailable.

    Every write is durable when it returns, and may be repeated.
    """

    async def policies(self) -> Sequence[TrustPolicy]:
        """The newest of each scope, also those that were removed."""

    async def put_policy(self, policy: TrustPolicy) -> None:
        """Add or replace."""

    async def hold(self, held: Held) -> None:
        """It waits from now on; of each pull request only the newest commit does."""

    async def held(self, repo: str, number: int) -> Held | None:
        """What of this pull request was held last, also if it was approved since."""

    async def all_held(self) -> Sequence[Held]:
        """That of each pull request, the newest last."""

    async def all_approvals(self) -> Sequence[Approval]:
        """Those of all commits."""

    async def approve(self, approval: Approval) -> Approval:
        """Keep it; answers the one that stands, which is the first of this commit."""

    async def approval(self, repo: str, number: int, commit: str) -> Approval | None:
        """The one of this very commit, or None."""
