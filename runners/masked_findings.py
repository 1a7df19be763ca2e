"""Masked findings: what a job with secrets handed over, read and masked by its shim.

Here: the record `findings.json`, which is all that an agent takes of such a job, because the next
agent does not know the secrets. A name, a text or a message that holds one has `***` in its place;
outputs are taken whole or not at all, as always, so one that holds a secret fails the job.
"""

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from pipelines.job import Coverage, Outcome, ReportedTests
from runners import findings, job_directory, reports, workspace
from runners.findings import Findings
from runners.masking import Forms

FAULT = "what the job handed over could not be read, a fault of the runner"


class MaskedFindings(msgspec.Struct, kw_only=True):
    """`findings.json`. `tests`, `coverage` None: there were no such reports to read."""

    found: Findings
    tests: ReportedTests | None = None
    coverage: Coverage | None = None


def write(directory: Path, forms: Forms, outcome: str) -> None:
    """Make the record of a job that ended with `outcome`; whatever is wrong is told in it."""
    try:
        masked = _read(directory, forms, outcome)
    except Exception as fault:  # noqa: BLE001  the end of the job must be told whatever this is
        said = f"{FAULT} ({type(fault).__name__})"
        masked = MaskedFindings(found=Findings(failure=said, left_out=[said]))
    record: dict[str, Any] = msgspec.to_builtins(masked)
    job_directory.write_record(str(directory), job_directory.FINDINGS, record)


def read(directory: Path) -> MaskedFindings:
    """The record; of a job that was lost before it was made, nothing."""
    record = job_directory.read_record(str(directory), job_directory.FINDINGS)
    if record is None:
        return MaskedFindings(found=Findings())
    return msgspec.convert(record, MaskedFindings)


def _read(directory: Path, forms: Forms, outcome: str) -> MaskedFindings:
    is_success = outcome == Outcome.SUCCEEDED
    found = findings.read(directory / job_directory.HANDED, is_success=is_success)
    for name, value in found.outputs.items():
        if _masked({name: value}, forms) != {name: value}:
            found.outputs = {}
            found.failure = (
                f"the job's outputs cannot be used: {name!r} holds a secret of the job; outputs"
                " are kept for ever, so hand over something else"
            )
            break
    said = reports.Reported()
    asked = workspace.read_spec(directory).request.reports or {}
    if asked and outcome in (Outcome.SUCCEEDED, Outcome.FAILED):
        said = asyncio.run(reports.read(directory / job_directory.WORKSPACE, asked))
        found.annotations = found.annotations + said.annotations
        found.left_out = found.left_out + said.left_out
    masked = MaskedFindings(found=found, tests=said.tests, coverage=said.coverage)
    whole = msgspec.to_builtins(masked)
    return msgspec.convert(_masked(whole, forms), MaskedFindings)


def _masked(value: Any, forms: Forms) -> Any:  # noqa: ANN401  any JSON value
    match value:
        case str():
            return forms.mask(value)
        case dict():
            return {forms.mask(name): _masked(one, forms) for name, one in value.items()}
        case list():
            return [_masked(one, forms) for one in value]
    return value
