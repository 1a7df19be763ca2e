"""NatsJobs: the job queue as the engine sees it. Implements Jobs."""

import msgspec

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import MESSAGE_ID, Bus
from pipelines.ids import JobId
from pipelines.job import CancelJob, JobSpec


class NatsJobs:
    """See Jobs."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, spec: JobSpec) -> None:
        # The id is a saving inside the window; beyond it the claim drops the second copy.
        subject = subjects.job_queue(spec.request.pool, spec.priority)
        await self._bus.publish(subject, msgspec.json.encode(spec), {MESSAGE_ID: spec.id})

    async def is_claimed(self, job: JobId) -> bool:
        return await self._bus.last(subjects.LEASES, subjects.lease(job)) is not None

    async def cancel(self, job: JobId, reason: str) -> None:
        body = msgspec.json.encode(CancelJob(job=job, reason=reason))
        await self._bus.publish(subjects.cancel(job), body)
