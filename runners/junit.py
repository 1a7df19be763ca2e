"""JUnit XML, as test tools write it, to ReportedTests: the process that reads what strangers wrote.

Here: `python -m runners.junit` reads files on its input, and answers JSON. It gives itself limits
first, holds no tree, and refuses a document type: without one there are no entities to expand and
nothing to fetch. A file that is no XML is left out and named; the others count.
"""

import math
import resource
import sys
from typing import BinaryIO
from xml.parsers import expat

import msgspec

from pipelines.job import ReportedTest, ReportedTests

MEMORY_BYTES_MAX = 1_073_741_824
CPU_S_MAX = 20
TESTS_MAX = 100_000
# What is kept of each test goes into the Run's history with the job's report.
KEPT_BYTES_MAX = 262_144
NAME_CHARS_MAX = 300
MESSAGE_CHARS_MAX = 500

OUTCOMES = {"failure": "failed", "error": "error", "skipped": "skipped"}


class NotJunit(Exception):
    """The file cannot be taken; the message says why."""


class _Reader:
    def __init__(self, tests: list[ReportedTest]) -> None:
        self._tests = tests
        self._files: list[str] = []
        self._case: dict[str, str] | None = None
        self._outcome = "passed"
        self._message: str | None = None
        self._said: list[str] = []
        self._seen = False

    def read(self, content: bytes) -> None:
        """Raises NotJunit."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        try:
            parser.Parse(content, True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            # The latter two: it names an encoding that there is not, or one of another kind.
            raise NotJunit(f"it is no XML ({error})") from None
        if not self._seen:
            raise NotJunit("it holds no <testsuite>")

    def _doctype(self, *_: object) -> None:
        raise NotJunit("it declares a document type, which no test report needs")

    def _begin(self, tag: str, given: dict[str, str]) -> None:
        if tag in ("testsuite", "testsuites"):
            self._seen = True
            self._files.append(given.get("file", ""))
        elif tag == "testcase":
            self._case, self._outcome, self._message, self._said = given, "passed", None, []
        elif tag in OUTCOMES and self._case is not None and self._outcome == "passed":
            self._outcome = OUTCOMES[tag]
            self._message = given.get("message", "")

    def _text(self, text: str) -> None:
        if self._message is not None and sum(map(len, self._said)) < MESSAGE_CHARS_MAX:
            self._said.append(text[:MESSAGE_CHARS_MAX])

    def _end(self, tag: str) -> None:
        if tag in ("testsuite", "testsuites"):
            self._files.pop()
        elif tag in OUTCOMES and self._message is not None:
            self._case = {**(self._case or {}), "said": self._message or "".join(self._said)}
            self._message = None
        elif tag == "testcase" and self._case is not None:
            if len(self._tests) == TESTS_MAX:
                raise NotJunit(f"there are more than {TESTS_MAX:,} tests")
            self._tests.append(self._test(self._case))
            self._case = None

    def _test(self, given: dict[str, str]) -> ReportedTest:
        file = given.get("file") or next((one for one in reversed(self._files) if one), "")
        return ReportedTest(
            name=_clean(given.get("name", ""), NAME_CHARS_MAX),
            suite=_clean(given.get("classname", ""), NAME_CHARS_MAX),
            file=_clean(file, NAME_CHARS_MAX),
            seconds=_seconds(given.get("time", "")),
            outcome=self._outcome,
            message=_clean(given.get("said", "").strip(), MESSAGE_CHARS_MAX),
        )


def _clean(text: str, chars_max: int) -> str:
    short = text[:chars_max]
    return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in short)


def _seconds(text: str) -> float:
    try:
        seconds = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return round(seconds, 3) if math.isfinite(seconds) and seconds > 0 else 0.0


def read(files: dict[str, bytes]) -> tuple[ReportedTests, list[str]]:
    """All files together, and what was left out, each with why."""
    tests: list[ReportedTest] = []
    left_out: list[str] = []
    for path, content in files.items():
        before = len(tests)
        try:
            _Reader(tests).read(content)
        except NotJunit as wrong:
            del tests[before:]
            left_out.append(f"the report {path[:200]!r}: {wrong}")
    return summed(tests), left_out


def summed(tests: list[ReportedTest]) -> ReportedTests:
    """The counts of all, and as many as may be kept: those that failed, then the slowest."""
    ranked = sorted(
        enumerate(tests),
        key=lambda one: (one[1].outcome not in ("failed", "error"), -one[1].seconds, one[0]),
    )
    kept, size = [], 0
    for place, test in ranked:
        size += len(msgspec.json.encode(test)) + 1
        if size > KEPT_BYTES_MAX:
            break
        kept.append((place, test))
    outcomes = [test.outcome for test in tests]
    return ReportedTests(
        passed=outcomes.count("passed"),
        failed=outcomes.count("failed") + outcomes.count("error"),
        skipped=outcomes.count("skipped"),
        seconds=round(sum(test.seconds for test in tests), 3),
        tests=[test for _, test in sorted(kept, key=lambda one: one[0])],
        left_out=len(tests) - len(kept),
    )


def _received(stream: BinaryIO) -> dict[str, bytes]:
    files = {}
    while head := stream.readline():
        name, size = map(int, head.split())
        path = stream.read(name).decode("utf-8", "replace")
        files[path] = stream.read(size)
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
    tests, left_out = read(_received(sys.stdin.buffer))
    answer = msgspec.json.encode({"tests": tests, "left_out": left_out})
    sys.stdout.buffer.write(answer)


if __name__ == "__main__":
    main()
