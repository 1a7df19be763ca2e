"""Admissions: how far a pull request is trusted, and the approvals of those that must wait.

Asks who knows, has `pipelines/trust.py` decide, and keeps what was approved. Starts no Run: that is
`triggers.py`, which asks here first, and is asked again, by a Delivery, when a commit is approved.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from ci_host.access import Token, may_open
from ci_host.engine.people import PersonRefused
from ci_host.ports import Source, SourceRefused, SourceUnavailable
from ci_host.trust_ports import Held, Pulls, TrustStore
from pipelines.event import Event
from pipelines.repo import Repo
from pipelines.trust import (
    Admission,
    Approval,
    PullFacts,
    TrustPolicy,
    Verdict,
    decide,
    is_from_elsewhere,
    policy_for,
)
from webhooks.forge import Later, Refused

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Explained:
    """A Verdict, and what it follows from."""

    verdict: Verdict
    policy: TrustPolicy
    facts: PullFacts | None
    approval: Approval | None


class Admissions:
    """Over what Forges and git say, and what people have decided."""

    def __init__(
        self, store: TrustStore, pulls: Pulls, source: Source, *, now: Callable[[], float]
    ) -> None:
        self._store = store
        self._pulls = pulls
        self._source = source
        self._now = now

    async def of(self, repo: Repo, event: Event) -> Verdict:
        """Of the pull request that this event is about.

        Raises SourceUnavailable and Unavailable: nobody could be asked for now. Raises
        SourceRefused: the branch that it is for is not there.
        """
        request = event.pull_request
        assert request is not None, "asked only of pull requests"
        facts, unasked = await self._facts(repo, request.number)
        verdict = await self._verdict(repo, event, facts, unasked)
        if verdict.admission is Admission.BASE:
            base = await self._tip(
                repo, full(request.base_ref if facts is None else facts.base_ref)
            )
            verdict = msgspec.structs.replace(verdict, base=base)
        if verdict.is_held:
            await self._store.hold(
                Held(
                    repo=repo.id,
                    name=repo.name,
                    number=request.number,
                    commit=event.commit,
                    event=event,
                    verdict=verdict,
                    at=self._now(),
                )
            )
        log.info(
            "pull_request_judged",
            repo=repo.id,
            number=request.number,
            commit=event.commit,
            tier=verdict.tier,
            admission=verdict.admission,
            why=verdict.why,
        )
        return verdict

    async def explain(self, repo: Repo, number: int) -> Explained:
        """What would be done with the newest commit of a pull request, if it came now.

        Raises PersonRefused where there is no API to ask, and as `of` does.
        """
        facts, unasked = await self._facts(repo, number)
        if facts is None:
            raise PersonRefused(
                409,
                f"the forge says nothing of pull request {number} of {repo.name}: {unasked}. Each"
                " is judged by git alone, when it comes",
            )
        policy = policy_for(await self._store.policies(), repo.id, repo.name)
        approval = await self._store.approval(repo.id, number, facts.head_commit)
        verdict = decide(facts, is_head=True, is_in_repo=False, policy=policy, approval=approval)
        return Explained(verdict, policy, facts, approval)

    async def check_writer(self, repo: Repo, login: str) -> None:
        """Raises PersonRefused unless the Forge says that this login may push to the Repo, and
        SourceUnavailable while it says nothing."""
        told = await self._pulls.may_write(repo, login)
        match told:
            case True:
                return
            case Later(reason):
                raise SourceUnavailable(f"{repo.name}, what {login} may do: {reason}")
            case Refused(reason):
                why = f"the forge does not say what {login} may do: {reason}"
            case None:
                why = f"connection {repo.connection} has no API, or no token for it, to ask who is"
            case _:
                why = f"{login} may not, as the forge says"
        raise PersonRefused(
            403, f"only who may write to {repo.name} may command anything here, and {why}"
        )

    async def approve(
        self, repo: Repo, number: int, commit: str, who: Token, *, is_writer: bool = False
    ) -> Held:
        """Let this very commit's own pipeline run; answers what is to be started.

        `is_writer`: the Forge said so of them. They could push the commit to a branch of the Repo,
        where it would run with more than an approval gives. Raises PersonRefused: not theirs to
        approve, not held, or another commit is by now.
        """
        held = await self._store.held(repo.id, number)
        if held is None:
            raise PersonRefused(
                404,
                f"no commit of pull request {number} of {repo.name} waits for an approval;"
                " `staunch trust held` lists those that do",
            )
        policy = policy_for(await self._store.policies(), repo.id, repo.name)
        # Without names nobody but administrators: empty means anybody at a Gate, and not here.
        is_named = bool(policy.approvers) and may_open(who, policy.approvers)
        if not (is_writer or who.admin or is_named):
            names = ", ".join(policy.approvers)
            also = f", and {names}" if names else ""
            raise PersonRefused(
                403, f"{who.name} may not approve changes of strangers: administrators do{also}"
            )
        if held.commit != commit:
            raise PersonRefused(
                409,
                f"pull request {number} is at {held.commit} by now, and not at {commit or 'none'};"
                " look at what was pushed since, and approve that",
            )
        approval = Approval(repo=repo.id, number=number, commit=commit, by=who.name, at=self._now())
        stands = await self._store.approve(approval)
        log.info("change_approved", repo=repo.id, number=number, commit=commit, by=stands.by)
        return held

    async def waiting(self) -> list[Held]:
        """What waits for an approval, the newest last."""
        approved = {(one.repo, one.number, one.commit) for one in await self._store.all_approvals()}
        return [
            one
            for one in await self._store.all_held()
            if (one.repo, one.number, one.commit) not in approved
        ]

    async def _facts(self, repo: Repo, number: int) -> tuple[PullFacts | None, str]:
        """What the Forge says, or None and why it says nothing."""
        told = await self._pulls.facts(repo, number)
        match told:
            case Later(reason):
                raise SourceUnavailable(f"{repo.name}, pull request {number}: {reason}")
            case Refused(reason):
                return None, reason
            case None:
                return None, f"connection {repo.connection} has no API, or no token for it"
        return told, ""

    async def _verdict(
        self, repo: Repo, event: Event, facts: PullFacts | None, unasked: str
    ) -> Verdict:
        request = event.pull_request
        assert request is not None, "asked only of pull requests"
        is_head = facts is not None and facts.head_commit == event.commit
        return decide(
            facts,
            is_head=is_head,
            is_in_repo=not is_head and await self._is_in_repo(repo, event),
            policy=policy_for(await self._store.policies(), repo.id, repo.name),
            approval=await self._store.approval(repo.id, request.number, event.commit),
            unasked=unasked,
        )

    async def _is_in_repo(self, repo: Repo, event: Event) -> bool:
        """Whether git itself says that somebody pushed this commit to a branch of the Repo."""
        request = event.pull_request
        if request is None or is_from_elsewhere(event):
            return False
        return await asyncio.to_thread(
            self._source.is_on, repo, event.commit, full(request.head_ref)
        )

    async def _tip(self, repo: Repo, ref: str) -> str:
        tip = await asyncio.to_thread(self._source.tip, repo, ref)
        if tip is None:
            raise SourceRefused(
                f"{repo.name} has no {ref}, whose pipeline would run on this pull request"
            )
        return tip


def full(branch: str) -> str:
    """A branch's full ref; forges name it by either."""
    return branch if branch.startswith("refs/") else f"refs/heads/{branch}"
