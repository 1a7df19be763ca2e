"""Findings: everything that the steps of a Job handed over, as its report has it.

Here: which file is what, and what becomes of one that cannot be taken: wrong outputs fail the job,
because its plan decides on them; anything else is left out, and that is said.
"""

from pathlib import Path
from typing import Any

import msgspec

from pipelines.job import Annotation
from runners import annotations, handed, outputs

SUMMARY_BYTES_MAX = 65_536


class Findings(msgspec.Struct, kw_only=True):
    """What was read. `failure`: why the job has failed that would have succeeded, or nothing."""

    outputs: dict[str, Any] = {}
    failure: str = ""
    summary: str = ""
    annotations: list[Annotation] = []
    left_out: list[str] = []


def read(folder: Path, *, is_success: bool) -> Findings:
    """Read `handed/` of a job that is over. Outputs are those of a job that succeeded only."""
    found = Findings()
    if is_success:
        try:
            found.outputs = outputs.parse(
                handed.read(folder, handed.OUTPUTS, outputs.OUTPUTS_BYTES_MAX)
            )
        except (handed.Unreadable, outputs.WrongOutput) as wrong:
            # All or nothing: the plan would decide on what is missing as on what is there.
            found.failure = f"the job's outputs cannot be used: {wrong}"
    try:
        content = handed.read(folder, handed.SUMMARY, SUMMARY_BYTES_MAX)
        found.summary = content.decode("utf-8", "replace").strip()
    except handed.Unreadable as wrong:
        found.left_out.append(f"the summary: {wrong}")
    try:
        content = handed.read(folder, handed.ANNOTATIONS, annotations.ANNOTATIONS_BYTES_MAX)
    except handed.Unreadable as wrong:
        found.left_out.append(f"the annotations: {wrong}")
    else:
        parsed = annotations.parse(content)
        found.annotations = parsed.annotations
        found.left_out += parsed.left_out
    return found
