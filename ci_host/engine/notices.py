"""Notices: what a Forge is told of a commit that has no Run to speak for it, or none yet.

Its pipeline cannot be read, or is skipped, or a stranger's change waits for an approval, or will
never run; or its Run is about to begin. The Statuses of Runs are made in `statuses.py`; both go
through one outbox, in order.
"""

import hashlib
from collections.abc import Callable
from typing import Protocol

import structlog

from ci_host.ports import Unavailable
from ci_host.status_ports import StatusOutbox
from pipelines.event import Event
from pipelines.repo import Repo
from pipelines.status import Standing, Status, StatusState, context_of, shorten
from pipelines.trust import Verdict

log = structlog.get_logger()


class PullNotes(Protocol):
    """Where it is kept for the comment under a pull request. See PullReports."""

    async def note(self, repo: Repo, event: Event, status: Status) -> None:
        """What is said of a pull request, if it is one. Raises Unavailable."""


class Notices:
    """Over the outbox. `base_url`: where people see the pages. `has_checks`: whether a Connection's
    Forge has a word for what is queued; None: none has. `pulls`: told besides."""

    def __init__(
        self,
        outbox: StatusOutbox,
        *,
        now: Callable[[], float],
        base_url: str,
        has_checks: Callable[[str], bool] | None = None,
        pulls: PullNotes | None = None,
    ) -> None:
        self._pulls = pulls
        self._outbox = outbox
        self._has_checks = has_checks or (lambda _: False)
        self._now = now
        self._base_url = base_url

    def tells_queued(self, repo: Repo) -> bool:
        """Whether `queued` says anything there."""
        return self._has_checks(repo.connection)

    async def queued(self, repo: Repo, event: Event, pipeline: str, run: str) -> None:
        """This Run is about to begin. Told before it does: afterwards its Turns speak for it."""
        await self._outbox.put(
            Status(
                id=hashlib.sha256(f"{run} queued".encode()).hexdigest()[:32],
                connection=repo.connection,
                repo=repo.external_id,
                repo_name=repo.name,
                commit=event.commit,
                context=context_of(event, pipeline),
                state=StatusState.PENDING,
                standing=Standing.QUEUED,
                description="queued",
                target_url=f"{self._base_url}/runs/{run}",
                at=self._now(),
                run=run,
            )
        )

    async def refused(self, repo: Repo, event: Event, reason: str) -> None:
        """Nothing will ever run for this commit, and why."""
        await self._put(repo, event, StatusState.ERROR, reason, "deliveries")

    async def held(self, repo: Repo, event: Event, verdict: Verdict) -> None:
        """It waits for an approval of this very commit."""
        said = f"waits for an approval of this commit, since {verdict.why}"
        await self._put(repo, event, StatusState.PENDING, said, "trust", Standing.WAITING)

    async def approved(self, repo: Repo, event: Event, verdict: Verdict) -> None:
        """The wait is over: what runs tells the rest."""
        said = f"this commit was approved by {verdict.by}"
        await self._put(repo, event, StatusState.SUCCESS, said, "trust")

    async def skipped(self, repo: Repo, event: Event, pipeline: str, reason: str) -> None:
        """This pipeline has nothing to do here, and nobody who requires it is held up."""
        await self._put(
            repo,
            event,
            StatusState.SUCCESS,
            reason,
            "deliveries",
            Standing.SKIPPED,
            pipeline=pipeline,
        )

    async def _put(
        self,
        repo: Repo,
        event: Event,
        state: StatusState,
        said: str,
        page: str,
        standing: Standing | None = None,
        *,
        pipeline: str = "",
    ) -> None:
        context = context_of(event, pipeline)
        # An error was told under this name before there were other states.
        parts = [repo.id, event.ref, event.commit]
        if state is not StatusState.ERROR:
            parts.append(state)
        if pipeline:
            parts.append(context)
        status = Status(
            id=hashlib.sha256(" ".join(parts).encode()).hexdigest()[:32],
            connection=repo.connection,
            repo=repo.external_id,
            repo_name=repo.name,
            commit=event.commit,
            context=context,
            state=state,
            standing=standing,
            description=shorten(said),
            target_url=f"{self._base_url}/{page}",
            at=self._now(),
        )
        await self._outbox.put(status)
        if self._pulls is None:
            return
        try:
            await self._pulls.note(repo, event, status)
        except Unavailable as error:
            # A comment is worth no delay of a Delivery: the status is told.
            log.warning("pull_report_lost", repo=repo.id, reason=str(error))
