"""Pipeline files: which pipelines a Repo's commit has, and whether what they declare can be kept.

Reading and compiling may be done twice: both are kept by content.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from ci_host.engine.calendar import check
from ci_host.engine.live import Prepareds
from ci_host.ports import Bundles, Source
from ci_host.tenant.sandbox import Sandbox
from pipelines.bundle import PipelineEntry
from pipelines.failure import Failure
from pipelines.ids import RunId
from pipelines.repo import Repo
from pipelines.schedule import ScheduleRefused, schedules_of


@dataclass(frozen=True, slots=True)
class Code:
    """The pipelines at a commit, and the digest of the Bundle that holds them.

    `faults` has, by pipeline, what is wrong in declarations that only the host understands.
    """

    entries: list[PipelineEntry]
    bundle: str
    faults: dict[str, Failure]


class PipelineFiles:
    """Over a Source and a sandbox that compiles."""

    def __init__(
        self,
        source: Source,
        bundles: Bundles,
        prepareds: Prepareds,
        sandbox: Sandbox,
        now: Callable[[], float],
    ) -> None:
        self._source = source
        self._bundles = bundles
        self._prepareds = prepareds
        self._sandbox = sandbox
        self._now = now

    async def at(self, repo: Repo, commit: str, ref: str) -> Code:
        """Raises NoPipeline, SourceRefused, SourceUnavailable, TenantFailed."""
        bundle = await asyncio.to_thread(self._source.bundle, repo, commit, ref)
        digest = await self._bundles.put(bundle)
        run = RunId(f"bundle-{digest[:20]}")
        prepared = await self._prepareds.of(digest, self._sandbox, run)
        faults = {e.name: fault for e in prepared.pipelines if (fault := self._fault(e))}
        return Code(
            [
                msgspec.structs.replace(e, error=faults.get(e.name, e.error))
                for e in prepared.pipelines
            ],
            digest,
            faults,
        )

    def _fault(self, entry: PipelineEntry) -> Failure | None:
        if entry.error is not None:
            return None
        try:
            for schedule in schedules_of(entry.triggers):
                check(schedule, self._now())
        except ScheduleRefused as refused:
            return Failure(
                type="ScheduleRefused", message=str(refused), file=entry.file, line=refused.line
            )
        return None
