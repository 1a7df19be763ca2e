"""Log search: which lines of a log hold a text, and which one says why a job failed. Pure.

What is looked at is what readers see: lines without colours.
"""

import re
from collections.abc import Iterator, Sequence

from ci_host.api.log_tail import ESCAPES
from pipelines.kept_log import Heading

# What one request looks at, so that nobody can keep a host busy; the answer says where to go on.
SEARCH_CHARS_MAX = 16_000_000
MATCHES_MAX = 10_000
NEEDLE_CHARS_MAX = 200

# As `JobLog.header` ends a step.
_ENDING = re.compile(r"^=== (?P<name>.*): exit code (?P<code>-?\d+) \(")
_LOOKS_BROKEN = re.compile(
    r"^E {2,}\S"
    r"|\b(?:error|fatal|panic|FAIL|FAILED|ERROR)(?:\[[^\]]*\])?:"
    r"|^(?:--- )?FAIL\b|^not ok\b|\bFAILED\b"
    r"|^Traceback \(most recent call last\):"
    r"|^(?:\w+\.)*\w*(?:Error|Exception)\b"
    r"|panicked at |\bcommand not found\b|: No such file or directory$"
)


def matches(text: str, line: int, needle: str, *, is_exact: bool) -> Iterator[int]:
    """The numbers of the lines that hold it, of which the first has the number `line`."""
    shown = ESCAPES.sub("", text) if "\x1b" in text else text
    if not is_exact:
        shown, needle = shown.lower(), needle.lower()
    counted, at = 0, shown.find(needle)
    while at >= 0:
        line += shown.count("\n", counted, at)
        yield line
        # Once a line, however often it is in there.
        end = shown.find("\n", at)
        if end < 0:
            return
        counted, at = end, shown.find(needle, end + 1)


def found_in(text: str, line: int, needle: str, *, is_exact: bool) -> list[int]:
    """All of `matches` at once."""
    return list(matches(text, line, needle, is_exact=is_exact))


def failed_part(headings: Sequence[Heading], lines: int) -> tuple[int, int]:
    """The lines of the step that broke: from its heading to its end; unknown: all of them."""
    for at in range(len(headings) - 1, -1, -1):
        found = _ENDING.match(headings[at].text)
        if found is not None and found["code"] != "0":
            opened = [one.line for one in headings[:at] if one.text == f"=== {found['name']}"]
            return (opened[-1] if opened else 0), headings[at].line
    return 0, lines


def broken_line(lines: Sequence[str]) -> int:
    """Which of them says what broke: the first that looks so, else the last that says anything."""
    said = 0
    for number, line in enumerate(lines):
        shown = ESCAPES.sub("", line).strip("\r")
        if _LOOKS_BROKEN.search(shown) and not shown.startswith("=== "):
            return number
        if shown.strip():
            said = number
    return said
