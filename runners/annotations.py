"""Annotations that the steps of a Job hand over: JSON, one on a line.

Here: the format, and what is said of a line that is none. Pure. Unlike outputs, nobody decides on
them: what cannot be taken is left out and named, and the rest is kept.
"""

from typing import Literal

import msgspec

from pipelines.job import Annotation

ANNOTATIONS_BYTES_MAX = 65_536
ANNOTATIONS_MAX = 50
MESSAGE_CHARS_MAX = 2_000
TITLE_CHARS_MAX = 200
FILE_CHARS_MAX = 500
LEFT_OUT_MAX = 10
LEFT_OUT_CHARS_MAX = 300
WORKSPACE = "/workspace/"


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a line may hold."""

    file: str
    message: str
    line: int = 1
    level: Literal["error", "warning", "notice"] = "warning"
    title: str = ""


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """The Annotations in their order, and what was left out, each with why."""

    annotations: list[Annotation]
    left_out: list[str]


_line = msgspec.json.Decoder(Line)


def parse(content: bytes) -> Parsed:
    """Everything that can be taken of what a job wrote. Never raises."""
    found: list[Annotation] = []
    wrong: list[str] = []
    more = 0
    for number, raw in enumerate(content.split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            annotation = _annotation(_line.decode(raw))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            wrong.append(f"line {number} of the annotations: {error}")
            continue
        if len(found) < ANNOTATIONS_MAX:
            found.append(annotation)
        else:
            more += 1
    if more:
        wrong.insert(0, f"{more:,} annotations: a job has at most {ANNOTATIONS_MAX}")
    if len(wrong) > LEFT_OUT_MAX:
        rest = len(wrong) - LEFT_OUT_MAX + 1
        wrong = [*wrong[: LEFT_OUT_MAX - 1], f"{rest:,} more lines of the annotations"]
    # What is wrong is said in the job's own words, which may be long and mean ill to a terminal.
    said = [printable(one)[:LEFT_OUT_CHARS_MAX] for one in wrong]
    return Parsed(annotations=found, left_out=said)


def printable(text: str) -> str:
    """The text without characters that command a terminal or turn the direction of others."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in text)


def _annotation(line: Line) -> Annotation:
    """Raises ValueError where a field is too long, or no place of the repository."""
    for name, text, longest in (
        ("message", line.message, MESSAGE_CHARS_MAX),
        ("title", line.title, TITLE_CHARS_MAX),
        ("file", line.file, FILE_CHARS_MAX),
    ):
        if len(text) > longest:
            raise ValueError(f"its {name} has {len(text):,} characters; {longest:,} are allowed")
    file = line.file.removeprefix(WORKSPACE).removeprefix("./")
    parts = file.split("/")
    if not file.isprintable() or "" in parts or ".." in parts:
        raise ValueError(f"{line.file!r} is no path of a file in the repository")
    if not line.message.strip() or line.line < 1:
        raise ValueError("it needs a message, and a line from 1 on")
    return Annotation(
        file=file,
        line=line.line,
        message=printable(line.message),
        level=line.level,
        title=printable(line.title) or msgspec.UNSET,
    )
