"""Finding where in the repository a failed step points to: Annotations out of its last output.

Here: text work, and the files it looks at. Python tracebacks, test reports, and the
`path:line: message` of compilers and linters. Log text is data: it can only ever name a place,
never command anything.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

from pipelines.job import Annotation

ANNOTATIONS_MAX = 10
MESSAGE_CHARS_MAX = 300
WORKSPACE = "/workspace/"

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)')
_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_][\w.]*\.)?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Warning|Failure)\b.*$"
)
_TAGGED = re.compile(r"^E\s{2,}(?P<message>\S.*)$")
_PLACE = re.compile(
    r"^(?:E\s+|\s*-->\s+|ERROR:?\s+|error:\s+)?"
    r"(?P<file>[\w./@+-]*[\w+-]\.[A-Za-z]\w{0,9}):(?P<line>\d{1,7})(?::\d{1,5})?:?(?P<rest>.*)$"
)
_LEVEL = re.compile(r"^(?:fatal )?(?P<level>error|warning|note|info)\b(?:\[[^\]]*\])?:?\s*", re.I)
_BLOCK_END = re.compile(r"^(?:Traceback \(most recent call last\):|=+|-{10,}.*|_{5,}.*)$")


def find(text: str, exists: Callable[[str], bool]) -> list[Annotation]:
    """At most ten Annotations, in the order of the text, each place once.

    `exists` tells whether a path relative to the workspace is one of its files: places outside
    (the standard library, a tool's own files) are left out where any is inside.
    """
    found = _tracebacks(text.splitlines(), exists)
    inside = [note for note in found if exists(note.file)]
    seen: set[tuple[str, int]] = set()
    chosen = []
    for note in inside or found:
        if (note.file, note.line) not in seen:
            seen.add((note.file, note.line))
            chosen.append(note)
    return chosen[:ANNOTATIONS_MAX]


def _tracebacks(lines: list[str], exists: Callable[[str], bool]) -> list[Annotation]:
    found: list[Annotation] = []
    frames: list[tuple[str, int]] = []
    said = ""
    for raw in lines:
        line = _ANSI.sub("", raw).rstrip()
        frame = _FRAME.match(line)
        if frame:
            frames.append((_relative(frame["file"]), int(frame["line"])))
        elif frames and _EXCEPTION.match(line):
            file, number = _nearest(frames, exists)
            found.append(_annotation(file, number, line))
            frames = []
        elif tagged := _TAGGED.match(line):
            # pytest says what went wrong in "E   " lines, and where in a place line below them.
            said = said or tagged["message"]
        elif place := _PLACE.match(line):
            found += _of_place(place, said)
            said = ""
        elif _BLOCK_END.match(line):
            frames = []
    return found


def _nearest(frames: list[tuple[str, int]], exists: Callable[[str], bool]) -> tuple[str, int]:
    """The innermost frame in the repository, else the innermost."""
    for frame in reversed(frames):
        if exists(frame[0]):
            return frame
    return frames[-1]


def _of_place(place: re.Match[str], said: str) -> list[Annotation]:
    rest = place["rest"].strip()
    level = "error"
    word = _LEVEL.match(rest)
    if word:
        level = word["level"].lower()
        rest = rest[word.end() :]
    # pytest's own place line holds no more than the exception's name.
    message = said if said and " " not in rest else rest
    if level in ("note", "info") or not message:
        return []
    return [_annotation(_relative(place["file"]), int(place["line"]), message, level)]


def _annotation(file: str, line: int, message: str, level: str = "error") -> Annotation:
    return Annotation(file=file, line=line, message=message[:MESSAGE_CHARS_MAX], level=level)


def _relative(path: str) -> str:
    return path.removeprefix(WORKSPACE).removeprefix("./")


def find_in(log: Path, begin: int, size: int, workspace: Path) -> list[Annotation]:
    """The problems that a stretch of a log on disk names, in files that the workspace has."""
    with log.open("rb") as file:
        file.seek(begin)
        text = file.read(size).decode("utf-8", "replace")
    root = os.path.realpath(workspace)

    def exists(path: str) -> bool:
        # Resolved, because a link that the job made could ask about files of the host.
        full = os.path.realpath(os.path.join(root, path))
        return full.startswith(root + os.sep) and os.path.isfile(full)

    return find(text, exists)
