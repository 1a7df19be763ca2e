"""RunReports: what the Jobs of a Run that is over say to whoever reads its commit. Pure.

Here: which of their annotations are told, and the summary in Markdown. Of a Job that was tried
again the last Attempt counts. What jobs wrote is theirs, and passed on as they wrote it.
"""

from collections.abc import Sequence

import msgspec

from ci_host.ports import StoredInput
from pipelines.events import JobFinished
from pipelines.job import Annotation, Outcome
from pipelines.status import ANNOTATIONS_BYTES_MAX, ANNOTATIONS_MAX, SUMMARY_BYTES_MAX, cut, shorten
from pipelines.turn import Turn

JOBS_LISTED_MAX = 200
CELL_CHARS_MAX = 200
WORST_FIRST = {"error": 0, "warning": 1, "notice": 2}


class RunReport(msgspec.Struct, frozen=True):
    """What the last Status of a Run has more than others; its fields are a Status's."""

    summary: str
    annotations: list[Annotation]
    began_at: float


def run_report(inputs: Sequence[StoredInput], last: Turn, said: str, page: str) -> RunReport:
    """Of all `inputs` of a Run, and its `last` Turn. `said`: how it ended; `page`: where all is."""
    jobs = last_reports(inputs, last.through)
    found = [one for job in jobs for one in job.annotations]
    found.sort(key=lambda one: WORST_FIRST.get(one.level, 0))
    told = _that_fit(found)
    parts = [said]
    if jobs:
        parts.append(_table(jobs))
    if len(told) < len(found):
        parts.append(f"Of {len(found):,} annotations the {len(told):,} gravest are shown here.")
    parts += [f"### {_cell(j.key)}\n\n{j.summary}" for j in jobs if j.summary]
    more = f"[All of this run]({page})"
    # Once, and always at the end: with it the text fits, or is cut.
    summary = cut("\n\n".join([*parts, more]), SUMMARY_BYTES_MAX, f"… and more. {more}")
    return RunReport(summary, told, inputs[0].at if inputs else 0.0)


def last_reports(inputs: Sequence[StoredInput], through: int) -> list[JobFinished]:
    """The last report of each Job, in the order in which these came."""
    last: dict[str, JobFinished] = {}
    for given in inputs:
        report = given.input
        if not isinstance(report, JobFinished) or given.sequence > through:
            continue
        before = last.get(report.key)
        # A late report of an earlier Attempt says nothing any more.
        if before is None or before.attempt < report.attempt:
            last.pop(report.key, None)
            last[report.key] = report
    return list(last.values())


def _that_fit(found: list[Annotation]) -> list[Annotation]:
    size, told = 0, []
    for one in found[:ANNOTATIONS_MAX]:
        size += len(msgspec.json.encode(one)) + 1
        if size > ANNOTATIONS_BYTES_MAX:
            break
        told.append(one)
    return told


def _table(jobs: list[JobFinished]) -> str:
    rows = [f"| `{_cell(job.key)}` | {_how(job)} | {_took(job)} |" for job in jobs]
    left = len(rows) - JOBS_LISTED_MAX
    if left > 0:
        rows = [*rows[:JOBS_LISTED_MAX], f"| … and {left:,} more | | |"]
    return "\n".join(["| job | came to | took |", "| --- | --- | --- |", *rows])


def _how(job: JobFinished) -> str:
    how = str(job.outcome).replace("_", " ")
    said = "" if job.outcome is Outcome.SUCCEEDED or not job.message else f": {_cell(job.message)}"
    return how + (f" in attempt {job.attempt}" if job.attempt > 1 else "") + said


def _took(job: JobFinished) -> str:
    seconds = job.finished_at - job.started_at
    return f"{seconds:.1f} s" if job.started_at and seconds >= 0 else ""


def _cell(text: str) -> str:
    """A text that stays within its cell, and within the code that it may be."""
    return shorten(text, CELL_CHARS_MAX).replace("`", "'").replace("|", "\\|")
