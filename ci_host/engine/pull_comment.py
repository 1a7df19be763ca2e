"""PullComment: a PullReport as the comment under its pull request, in Markdown. Pure.

Names, messages and logs are anybody's: all of it stands in code, where no forge reads mentions,
links, HTML or commands, on one line, without what cannot be seen. GitLab takes lines that begin
with a slash for commands, and might do so in code: no line of a log begins with its own characters.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence

from ci_host.comment_ports import CommandAnswer, FailedJob, PullReport, RunLine
from pipelines.status import CONTEXT, Standing, cut

COMMENT_BYTES_MAX = 60_000
LOG_LINES_MAX = 20
LOG_LINE_CHARS_MAX = 200
TEXT_CHARS_MAX = 200
SAID_CHARS_MAX = 600
MARK_CHARS = 16

WORDS: dict[Standing, tuple[str, str]] = {
    Standing.QUEUED: ("⏳", "queued"),
    Standing.RUNNING: ("⏳", "running"),
    Standing.WAITING: ("✋", "waits for somebody"),
    Standing.SUCCEEDED: ("✅", "succeeded"),
    Standing.FAILED: ("❌", "failed"),
    Standing.ERRORED: ("❌", "could not run"),
    Standing.CANCELLED: ("⏹️", "cancelled"),
    Standing.TIMED_OUT: ("❌", "timed out"),
    Standing.SKIPPED: ("✅", "skipped"),
}
# Which of several standings is said first of all.
GRAVEST = (
    Standing.FAILED,
    Standing.ERRORED,
    Standing.TIMED_OUT,
    Standing.WAITING,
    Standing.RUNNING,
    Standing.QUEUED,
    Standing.CANCELLED,
    Standing.SUCCEEDED,
    Standing.SKIPPED,
)

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def marker_of(report: PullReport) -> str:
    """By which the one comment is found again; shown by no forge."""
    return f"<!-- staunch report {_digest(report.repo, str(report.number))} -->"


def marker_of_answer(answer: CommandAnswer) -> str:
    """By which an answer is found again, so that there is one."""
    return f"<!-- staunch answer {_digest(answer.repo, answer.comment)} -->"


def answer_text(answer: CommandAnswer) -> str:
    """That a command was obeyed, or why it did nothing."""
    asked, said = code(f"/{CONTEXT} {answer.word}"), code(answer.said, SAID_CHARS_MAX)
    words = "was done." if answer.accepted else f"did nothing: {said}"
    return f"{marker_of_answer(answer)}\n{asked} {words}\n"


def comment_text(report: PullReport, tails: Mapping[str, Sequence[str]]) -> str:
    """The whole comment. `tails`: the last lines of Jobs' logs, by the Job's id."""
    lines = sorted(report.lines.values(), key=_order)
    parts = [
        marker_of(report),
        f"### {_heading(lines)}",
        _table(lines),
        *[part for line in lines for job in line.failed for part in _failed(line, job, tails)],
        f"Of commit {code(report.commit[:12])}; this comment follows the newest one.",
    ]
    more = "… and more, on the pages of the runs."
    return cut("\n\n".join(parts) + "\n", COMMENT_BYTES_MAX, more)


def _order(line: RunLine) -> tuple[int, str]:
    return GRAVEST.index(line.standing), line.context


def _heading(lines: Sequence[RunLine]) -> str:
    gravest = lines[0].standing
    count = sum(line.standing is gravest for line in lines)
    icon, word = WORDS[gravest]
    return f"{icon} Staunch: {count} of {len(lines)} {word}"


def _table(lines: Sequence[RunLine]) -> str:
    rows = []
    for line in lines:
        icon, word = WORDS[line.standing]
        said = "" if line.said in ("", word) else f": {cell(line.said)}"
        link = f"[{'run' if line.run else 'more'}]({line.url})" if is_link(line.url) else ""
        rows.append(f"| {cell(line.context)} | {icon} {word}{said} | {link} |")
    return "\n".join(["| | | |", "| --- | --- | --- |", *rows])


def _failed(line: RunLine, job: FailedJob, tails: Mapping[str, Sequence[str]]) -> list[str]:
    said = f": {code(job.message)}" if job.message else ""
    parts = [f"**{code(line.context)}, job {code(job.key)}**{said}"]
    if job.tests:
        left = job.tests_failed - len(job.tests)
        more = [f"- … and {left:,} more"] if left > 0 else []
        names = [f"- {code(name)}" for name in job.tests]
        parts.append("\n".join([f"Failed tests ({job.tests_failed:,}):", "", *names, *more]))
    shown = [f"│ {plain(text, LOG_LINE_CHARS_MAX)}" for text in tails.get(job.job, ())]
    if shown:
        summary = f"<details><summary>The last {len(shown)} lines of its log</summary>"
        parts.append("\n".join([summary, "", "```text", *shown, "```", "", "</details>"]))
    return parts


def plain(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """One line of what can be seen: no control, no direction mark, no colour."""
    seen = _ANSI.sub("", text).replace("\t", "    ")
    line = "".join(c if c.isprintable() else " " for c in seen).rstrip()
    return line if len(line) <= chars_max else line[: chars_max - 1] + "…"


def code(text: str, chars_max: int = TEXT_CHARS_MAX) -> str:
    """Anybody's text as code within a line."""
    return f"`{' '.join(plain(text, chars_max).split()).replace('`', chr(39)) or '-'}`"


def cell(text: str) -> str:
    """The same within a table."""
    return code(text).replace("\\", "/").replace("|", "\\|")


def is_link(url: str) -> bool:
    """Whether it is an address that cannot end its own brackets."""
    return re.fullmatch(r"https?://[\w.:\[\]-]+(?:/[\w./%~-]*)?", url, re.ASCII) is not None


def _digest(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:MARK_CHARS]
