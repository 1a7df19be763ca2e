"""Jobs: the Attempts that a plan still wants, and those whose end it wants."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

Report = dict[str, Any]


@dataclass(slots=True)
class _Job:
    attempt: int
    report: "asyncio.Future[Report]"
    cancelling: bool = False
    late: Callable[[Report], None] | None = None


class Jobs:
    """One Run's Attempts that have not reported."""

    def __init__(self, new_future: "Callable[[], asyncio.Future[Report]]") -> None:
        self._new_future = new_future
        self._jobs: dict[str, _Job] = {}

    def open(self, key: str, attempt: int) -> "asyncio.Future[Report]":
        """Want an Attempt."""
        assert key not in self._jobs, f"{key} has an attempt that is not over"
        self._jobs[key] = _Job(attempt, self._new_future())
        return self._jobs[key].report

    def drop(self, key: str, late: Callable[[Report], None] | None) -> None:
        """Want its end."""
        if key in self._jobs:
            self._jobs[key].cancelling = True
            self._jobs[key].late = late

    def finished(self, report: Report) -> bool:
        """A Runner's report; False: late or repeated, and nobody's."""
        job = self._jobs.get(report["key"])
        if job is None or job.attempt != report["attempt"]:
            return False
        del self._jobs[report["key"]]
        if not job.report.done():
            job.report.set_result(report)
        elif job.late is not None:
            job.late(report)
        return True

    def are_cancelling(self) -> bool:
        """Whether one whose end is wanted has not reported."""
        return any(job.cancelling for job in self._jobs.values())

    def may_owe(self) -> bool:
        """Whether one that was cancelled may still turn out to have succeeded."""
        return any(job.late is not None for job in self._jobs.values())

    def end(self) -> None:
        """The end of all is wanted."""
        for job in self._jobs.values():
            job.cancelling = True

    def wanted(self) -> list[dict[str, Any]]:
        """Every OpenJob in its wire form."""
        return [
            {"key": key, "attempt": job.attempt, "cancelling": job.cancelling}
            for key, job in self._jobs.items()
        ]
