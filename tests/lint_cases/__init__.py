"""Cases of lint: small pipelines with a mistake, each with the findings that it must have.

A file holds the pipeline's files, each under `=== path`, and under `=== findings` what is found, as
`staunch lint` prints it, with the end of each place.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipelines.lint.finding import Finding

FOLDER = Path(__file__).parent
FINDINGS = "findings"


class Case(NamedTuple):
    """`files` by path; `findings` as they are shown."""

    files: dict[str, str]
    findings: str


def cases() -> Iterator[tuple[str, Case]]:
    """Every case by its name."""
    for path in sorted(FOLDER.glob("*.txt")):
        parts = re.split(r"^=== (.+)\n", path.read_text(), flags=re.M)
        files = dict(zip(parts[1::2], parts[2::2], strict=True))
        findings = files.pop(FINDINGS)
        yield path.stem, Case(files, findings)


def shown(found: list[Finding]) -> str:
    """Findings as a case has them."""
    lines = []
    for one in found:
        place = f"{one.file}:{one.line}:{one.column}-{one.end_line}:{one.end_column}"
        lines.append(f"{place}: {one.rule}: {one.message}\n    fix: {one.fix}\n")
    return "".join(lines)
