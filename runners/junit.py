"""JUnit XML, as test tools write it, to tests, and what is kept of the tests of a job.

No tree is held, and a document type refused: without one there are no entities to expand and
nothing to fetch.
"""

import math
from xml.parsers import expat

import msgspec

from pipelines.job import ReportedTest, ReportedTests
from runners.report_words import NotTaken, clean

TESTS_MAX = 100_000
# What is kept of each test goes into the Run's history with the job's report.
KEPT_BYTES_MAX = 262_144
NAME_CHARS_MAX = 300
MESSAGE_CHARS_MAX = 500

OUTCOMES = {"failure": "failed", "error": "error", "skipped": "skipped"}


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
        """Raises NotTaken."""
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
            raise NotTaken(f"it is no XML ({error})") from None
        if not self._seen:
            raise NotTaken("it holds no <testsuite>")

    def _doctype(self, *_: object) -> None:
        raise NotTaken("it declares a document type, which no test report needs")

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
                raise NotTaken(f"there are more than {TESTS_MAX:,} tests")
            self._tests.append(self._test(self._case))
            self._case = None

    def _test(self, given: dict[str, str]) -> ReportedTest:
        file = given.get("file") or next((one for one in reversed(self._files) if one), "")
        return ReportedTest(
            name=clean(given.get("name", ""), NAME_CHARS_MAX),
            suite=clean(given.get("classname", ""), NAME_CHARS_MAX),
            file=clean(file, NAME_CHARS_MAX),
            seconds=_seconds(given.get("time", "")),
            outcome=self._outcome,
            message=clean(given.get("said", "").strip(), MESSAGE_CHARS_MAX),
        )


def _seconds(text: str) -> float:
    try:
        seconds = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return round(seconds, 3) if math.isfinite(seconds) and seconds > 0 else 0.0


def tests_in(content: bytes) -> list[ReportedTest]:
    """The tests of a file. Raises NotTaken."""
    tests: list[ReportedTest] = []
    _Reader(tests).read(content)
    return tests


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
