"""TAP, as test tools print it, to tests. The grammar of a line is the library's (tap.py).

Here: what the lines of a file say together. Line by line, because the library's own loop wants YAML
for the blocks below a result; those are kept as they are written.
"""

import re

from tap.line import Bail, Diagnostic, Plan, Result
from tap.parser import Parser

from pipelines.job import ReportedTest
from runners.report_words import NotTaken, clean

TESTS_MAX = 100_000
NAME_CHARS_MAX = 300
MESSAGE_CHARS_MAX = 500
LINE_CHARS_MAX = 10_000
# What is so far from the left is of a test within the test.
SUBTEST_INDENT = 4
DURATION = re.compile(r"\s+duration_ms:\s*([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*$")


class _Reader:
    def __init__(self, suite: str) -> None:
        self._suite = suite
        self._parser = Parser()
        self._planned: int | None = None
        self._block = ""
        self.tests: list[ReportedTest] = []
        self._said: list[str] = []
        self._seconds = 0.0

    def read(self, text: str) -> None:
        """All of a file. Raises NotTaken."""
        for line in text.splitlines():
            self._take(line[:LINE_CHARS_MAX].rstrip())
        self._tell()
        results = len(self.tests)
        if self._planned is None and not results:
            raise NotTaken("it holds no test and no plan")
        if self._planned is not None and results < self._planned:
            self._add("(plan)", "error", f"{self._planned:,} tests were planned, {results:,} ran")

    def _take(self, line: str) -> None:
        if self._block or line[:1].isspace():
            self._below(line)
            return
        try:
            parsed = self._parser.parse_line(line)  # type: ignore[no-untyped-call]
        except ValueError as error:
            # A version that there is not, or a number of thousands of digits.
            raise NotTaken(f"it is no TAP ({error})") from None
        match parsed:
            case Result():
                self._tell()
                self._result(parsed)
            case Diagnostic():
                self._said.append(line.lstrip("# "))
            case Plan():
                self._planned = parsed.expected_tests
            case Bail():
                self._tell()
                self._add("Bail out!", "error", parsed.reason)

    def _below(self, line: str) -> None:
        """A block below the last result, as it is written; what is indented else is a subtest."""
        indent = line[: len(line) - len(line.lstrip())]
        if not self._block:
            if line.lstrip() == "---" and len(indent) < SUBTEST_INDENT:
                self._block = indent
            return
        if line == f"{self._block}..." or not indent:
            self._block = ""
            if line and not indent:
                self._take(line)
            return
        if (took := DURATION.match(line)) is not None:
            self._seconds = float(took[1]) / 1e3
        self._said.append(line.strip())

    def _result(self, line: Result) -> None:
        outcome = "passed" if line.ok else "failed"
        if line.skip or (line.todo and not line.ok):
            outcome = "skipped"
        name = line.description.removeprefix("- ").strip() or f"test {len(self.tests) + 1}"
        reason = line.directive.reason if line.skip or line.todo else ""
        self._add(name, outcome, reason or "")

    def _add(self, name: str, outcome: str, message: str) -> None:
        if len(self.tests) == TESTS_MAX:
            raise NotTaken(f"there are more than {TESTS_MAX:,} tests")
        test = ReportedTest(
            name=clean(name, NAME_CHARS_MAX),
            suite=self._suite,
            outcome=outcome,
            message=clean(message.strip(), MESSAGE_CHARS_MAX),
        )
        self.tests.append(test)

    def _tell(self) -> None:
        """What was said since the last result is of that one."""
        said, self._said = self._said, []
        seconds, self._seconds = self._seconds, 0.0
        if not self.tests:
            return
        last = self.tests[-1]
        message = last.message
        if last.outcome == "failed" and not message:
            message = clean("\n".join(said).strip(), MESSAGE_CHARS_MAX)
        self.tests[-1] = ReportedTest(
            name=last.name,
            suite=last.suite,
            outcome=last.outcome,
            seconds=round(seconds, 3),
            message=message,
        )


def tests_in(path: str, content: bytes) -> list[ReportedTest]:
    """The tests of a file; their suite is its path. Raises NotTaken."""
    reader = _Reader(clean(path, NAME_CHARS_MAX))
    reader.read(content.decode("utf-8", "replace"))
    return reader.tests
