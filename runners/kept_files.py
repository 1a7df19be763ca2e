"""The files of one Attempt that outlive it: placed before its first command, kept after its last.

Here: in which order, how long an absent blob store is waited for, and what it means for the job.
What an artifact, a cache and a kept log are is said in modules of their own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog
from msgspec import UNSET, structs

from pipelines.events import JobFinished
from pipelines.job import JobSpec, Outcome
from runners import artifacts, job_directory, workspace
from runners.caches import Caches
from runners.kept_logs import keep_log
from runners.ports import BlobStore, CacheIndex
from runners.progress import CountedStore, Progress
from runners.retrying import until_done
from runners.unpacking import Owner

PATIENCE_S = 600.0

T = TypeVar("T")

log = structlog.get_logger("runners.kept_files")


class KeptFiles:
    """Those of one Attempt. What it does may be repeated after a crash."""

    def __init__(
        self,
        directory: Path,
        spec: JobSpec,
        *,
        store: BlobStore,
        index: CacheIndex,
        now: Callable[[], float],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._directory = directory
        self._workspace = directory / job_directory.WORKSPACE
        self._spec = spec
        self.progress = Progress()
        self._store = CountedStore(store, self.progress)
        self._index = index
        self._now = now
        self._patience_s = patience_s

    async def place(self) -> None:
        """Anew after a crash on the way: nothing of the job has run by then. Raises NotKept."""
        asked = self._spec.request
        if not (asked.files or asked.caches):
            return
        self.progress.begin("gets its files")
        try:
            await self._place()
        finally:
            self.progress.end()

    async def _place(self) -> None:
        launch = workspace.read_launch(self._directory)
        owner = None
        if launch.uid is not None and launch.gid is not None:
            owner = Owner(uid=launch.uid, gid=launch.gid)
        lines = await self._restore(owner)
        if lines:
            said = {"lines": lines}
            job_directory.write_record(str(self._directory), job_directory.PREFACE, said)
        await self._with_patience(
            partial(artifacts.place, self._spec, self._workspace, self._store, owner, self.progress)
        )

    async def gather(self, report: JobFinished) -> JobFinished:
        """The report with what the job left, kept."""
        self.progress.begin("keeps its files")
        try:
            return await self._with_caches(await self._with_artifacts(report))
        finally:
            self.progress.end()

    async def keep_log(self, path: Path) -> str | None:
        """The digest of the kept log's index; None where it stays on the bus."""
        try:
            return await self._with_patience(partial(keep_log, path, self._spec.id, self._store))
        except artifacts.NotKept as reason:
            log.warning("log stays on the bus", job=self._spec.id, reason=str(reason))
            return None

    async def _restore(self, owner: Owner | None) -> list[str]:
        """A line for each cache. A job begins without those that cannot be had."""
        if not self._spec.request.caches:
            return []
        caches = self._caches()
        try:
            return await self._with_patience(partial(caches.restore, owner))
        except artifacts.NotKept as reason:
            log.warning("job begins without caches", job=self._spec.id, reason=str(reason))
            return await caches.do_without(str(reason))

    async def _with_caches(self, report: JobFinished) -> JobFinished:
        """Of a job that succeeded: what it leaves can be relied on, as far as anybody knows."""
        if not self._spec.request.caches or report.outcome is not Outcome.SUCCEEDED:
            return report
        try:
            problems = await self._with_patience(self._caches().save)
        except artifacts.NotKept as reason:
            problems = [f"caches are not kept: {reason}"]
        told = [*(report.left_out or []), *problems]
        return structs.replace(report, left_out=told or UNSET)

    async def _with_artifacts(self, report: JobFinished) -> JobFinished:
        """Of a job whose end is known. One that succeeded without what it promised has failed."""
        if report.outcome in (Outcome.REFUSED, Outcome.LOST):
            return report
        try:
            kept = await self._with_patience(
                partial(artifacts.keep, self._spec, self._workspace, self._store)
            )
        except artifacts.NotKept as reason:
            kept = artifacts.Kept(problems=[str(reason)])
        if kept.artifacts:
            report = structs.replace(report, artifacts=kept.artifacts)
        if not kept.problems:
            return report
        if report.outcome is Outcome.SUCCEEDED:
            failed, why = Outcome.FAILED, kept.problems[0]
            report = structs.replace(report, outcome=failed, message=why, outputs=UNSET)
        told = report.left_out or []
        return structs.replace(report, left_out=[*told, *kept.problems])

    async def _with_patience(self, call: Callable[[], Awaitable[T]]) -> T:
        """Raises NotKept where for so long nothing moves. What moves slowly may take its time."""
        working = asyncio.ensure_future(until_done(call))
        try:
            while not working.done():
                before = self.progress.moved
                await asyncio.wait({working}, timeout=self._patience_s)
                if not working.done() and self.progress.moved == before:
                    raise artifacts.NotKept(
                        f"the blob store could not be reached for {self._patience_s:g} s"
                    )
            return working.result()
        finally:
            working.cancel()
            await asyncio.wait({working})

    def _caches(self) -> Caches:
        return Caches(
            self._spec,
            self._workspace,
            store=self._store,
            index=self._index,
            now=self._now(),
            progress=self.progress,
        )
