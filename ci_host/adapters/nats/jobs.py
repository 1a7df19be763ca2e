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
        # The id is a saving: an offer that was released meanwhile is seldom made again.
        headers = {MESSAGE_ID: spec.id}
        await self._bus.put_once(subjects.offer(JobId(spec.id)), msgspec.json.encode(spec), headers)

    async def is_claimed(self, job: JobId) -> bool:
        return await self._bus.last(subjects.LEASES, subjects.lease(job)) is not None

    async def cancel(self, job: JobId, reason: str) -> None:
        body = msgspec.json.encode(CancelJob(job=job, reason=reason))
        await self._bus.publish(subjects.cancel(job), body)
