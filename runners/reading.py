"""Reading: the process that reads reports which strangers wrote, of every kind.

Here: `python -m runners.reading` takes files on its input, and answers JSON. It gives itself limits
first, and holds no tree. A file that cannot be taken is left out and named; the others count. What
each kind is, is `junit`, `tap_lines`, `cobertura` and `sarif`.
"""

import resource
import sys
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple

import msgspec

from pipelines.job import Annotation, Coverage, ReportedTest, ReportedTests
from runners import cobertura, junit, sarif, tap_lines
from runners.report_words import NotTaken

MEMORY_BYTES_MAX = 1_073_741_824
CPU_S_MAX = 20


class File(NamedTuple):
    """One report, as it was found."""

    kind: str
    path: str
    content: bytes


class Read(msgspec.Struct, kw_only=True):
    """What the files say, and what was left out, each with why."""

    tests: ReportedTests | None = None
    coverage: Coverage | None = None
    annotations: list[Annotation] = []
    left_out: list[str] = []


class _Reading:
    def __init__(self) -> None:
        self._tests: list[ReportedTest] | None = None
        self._covered: dict[str, cobertura.Lines] = {}
        self._findings: list[Annotation] = []

    def take(self, file: File, left_out: list[str]) -> None:
        """Raises NotTaken."""
        match file.kind:
            case "junit" | "tap":
                self._take_tests(file)
            case "cobertura":
                cobertura.read_into(self._covered, file.content)
            case "sarif":
                found, elsewhere = sarif.findings_in(file.content)
                self._findings += found
                if elsewhere:
                    said = f"{elsewhere:,} findings have no place in the checkout"
                    left_out.append(f"of the report {file.path[:200]!r}: {said}")
            case kind:
                raise NotTaken(f"reports of kind {kind!r} are not known to this runner")

    def _take_tests(self, file: File) -> None:
        known = self._tests = [] if self._tests is None else self._tests
        if file.kind == "junit":
            found = junit.tests_in(file.content)
        else:
            found = tap_lines.tests_in(file.path, file.content)
        if len(known) + len(found) > junit.TESTS_MAX:
            raise NotTaken(f"there are more than {junit.TESTS_MAX:,} tests")
        known += found

    def told(self, left_out: list[str]) -> Read:
        """All of it together."""
        findings = sarif.kept(self._findings)
        if (more := len(self._findings) - len(findings)) > 0:
            left_out.append(f"{more:,} more findings; {sarif.FINDINGS_MAX} are kept")
        return Read(
            tests=None if self._tests is None else junit.summed(self._tests),
            coverage=cobertura.summed(self._covered) if self._covered else None,
            annotations=findings,
            left_out=left_out,
        )


def read(files: Iterable[File]) -> Read:
    """All files together. Raises nothing for what is in them."""
    reading, left_out = _Reading(), list[str]()
    for file in files:
        try:
            reading.take(file, left_out)
        except NotTaken as wrong:
            left_out.append(f"the report {file.path[:200]!r}: {wrong}")
    return reading.told(left_out)


def _received(stream: BinaryIO) -> list[File]:
    files = []
    while head := stream.readline():
        kind, name, size = head.decode().split()
        path = stream.read(int(name)).decode("utf-8", "replace")
        files.append(File(kind, path, stream.read(int(size))))
    return files


def main() -> None:
    """Limits first, then the files on standard input; JSON on standard output."""
    for kind, limit in (
        (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
        (resource.RLIMIT_CPU, CPU_S_MAX),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    answer = read(_received(sys.stdin.buffer))
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
