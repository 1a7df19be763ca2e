"""Exceptions as Failures: message, file and line, and only the tenant's own frames."""

import linecache
import re
from collections.abc import Iterator, Set
from types import TracebackType
from typing import Any

from staunch.errors import RetryAfter

from pipelines.guest.limits import MESSAGE_CHARS_MAX, TRACEBACK_CHARS_MAX
from pipelines.guest.wire import printable

CAUSES_SHOWN_MAX = 5
# Of a function that calls itself from the same line.
REPEATED_SHOWN_MAX = 3

# An address differs from one replay to the next, and a message is part of a Turn's digest.
_address = re.compile(r" at 0x[0-9a-fA-F]+")


def failure_of(error: BaseException, files: Set[str], step: str | None = None) -> dict[str, Any]:
    """The Failure in its wire form; `files` are the tenant's paths."""
    place = place_of(error, files)
    return {
        "type": type(error).__name__,
        "message": _message(error)[:MESSAGE_CHARS_MAX],
        "kind": "transient" if isinstance(error, RetryAfter) else "tenant",
        "file": place[0] if place else None,
        "line": place[1] if place else None,
        "traceback": _traceback(error, files),
        "step": step or _step(error),
    }


def place_of(error: BaseException, files: Set[str]) -> tuple[str, int] | None:
    """The innermost line of the tenant's that was on the way."""
    if isinstance(error, SyntaxError) and error.filename in files:
        return str(error.filename), error.lineno or 1
    frames = list(_frames(error.__traceback__, files))
    if frames:
        return frames[-1][0], frames[-1][1]
    if isinstance(error, BaseExceptionGroup):
        return place_of(error.exceptions[0], files)
    return None


def _step(error: BaseException) -> str | None:
    if isinstance(error, BaseExceptionGroup):
        return _step(error.exceptions[0])
    step = getattr(error, "step", None)
    return step if isinstance(step, str) else None


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001 - a tenant's __str__ may do anything
        text = f"<its text cannot be shown: {type(broken).__name__}>"
    if isinstance(error, SystemExit):
        text = f"sys.exit({text}) was called; return from run, or raise an exception"
    if isinstance(error, SyntaxError):
        text = error.msg or text
    if isinstance(error, BaseExceptionGroup):
        first = error.exceptions[0]
        text = f"{error.message}: {type(first).__name__}: {_message(first)}"
    if isinstance(error, MemoryError) and not text:
        text = "the pipeline used more memory than a sandbox has"
    return printable(_address.sub(" at 0x…", text))


def _frames(traceback: TracebackType | None, files: Set[str]) -> Iterator[tuple[str, int, str]]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename in files:
            yield code.co_filename, traceback.tb_lineno, code.co_name
        traceback = traceback.tb_next


def _traceback(error: BaseException, files: Set[str]) -> str:
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(seen) < CAUSES_SHOWN_MAX:
        seen.add(id(current))
        parts.insert(0, _one(current, files))
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
    text = "\n\nThis led to:\n\n".join(parts)
    return text if len(text) <= TRACEBACK_CHARS_MAX else "…" + text[1 - TRACEBACK_CHARS_MAX :]


def _one(error: BaseException, files: Set[str]) -> str:
    lines = []
    frames = list(_frames(error.__traceback__, files))
    repeated = 0
    for index, (file, line, name) in enumerate(frames):
        repeated = repeated + 1 if index and frames[index - 1] == (file, line, name) else 0
        if repeated >= REPEATED_SHOWN_MAX:
            continue
        source = linecache.getline(file, line).strip()
        lines.append(f'  File "{file}", line {line}, in {name}\n')
        if source:
            lines.append(f"    {source}\n")
    if isinstance(error, SyntaxError) and error.filename in files:
        lines.append(f'  File "{error.filename}", line {error.lineno}\n')
        if error.text:
            lines.append(f"    {error.text.strip()}\n")
    return printable("".join(lines)) + f"{type(error).__name__}: {_message(error)}"
