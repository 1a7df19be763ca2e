"""Outputs: the values that a Job gives back to its plan, read off the lines its steps wrote.

Here: the format, and its errors. Pure. A line is one of

    name=text       a text, as it stands up to the end of the line
    name:=JSON      any JSON value: a number, true, a list, an object, a text of several lines

A later line of the same name counts. Nothing is cut: whatever is wrong is an error that names the
line, because a plan that decides on half an answer would be worse off than one that gets none.
"""

import re
from typing import Any

import msgspec

OUTPUTS_BYTES_MAX = 65_536
DEPTH_MAX = 32
SHOWN_CHARS_MAX = 80

_LINE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_-]{0,99})(?P<kind>:?=)(?P<value>.*)\Z", re.S)


class WrongOutput(Exception):
    """A line is no output; the message says which and why."""


def parse(content: bytes) -> dict[str, Any]:
    """The outputs by name: texts, numbers, booleans, None, lists, dicts. Raises WrongOutput."""
    found: dict[str, Any] = {}
    for number, raw in enumerate(content.split(b"\n"), 1):
        if not raw.strip():
            continue
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            raise WrongOutput(f"line {number} is no UTF-8") from None
        parts = _LINE.match(line)
        if parts is None:
            raise WrongOutput(
                f"line {number} is neither name=text nor name:=JSON: {line[:SHOWN_CHARS_MAX]!r}"
            )
        typed = parts["kind"] == ":="
        found[parts["name"]] = _value(number, parts["value"]) if typed else parts["value"]
    return found


def _value(number: int, text: str) -> Any:  # noqa: ANN401 any JSON value
    try:
        value = msgspec.json.decode(text)
        deep = _is_deep(value)
    except RecursionError:
        deep = True
    except msgspec.DecodeError as error:
        raise WrongOutput(
            f"the value of line {number} is no JSON ({error}): {text[:SHOWN_CHARS_MAX]!r};"
            " write name=text for a text"
        ) from None
    if deep:
        # Whoever reads it later, engine or plan, has less of a stack than this.
        raise WrongOutput(f"the value of line {number} is nested deeper than {DEPTH_MAX}")
    return value


def _is_deep(value: Any) -> bool:  # noqa: ANN401 any JSON value
    level = [value]
    for _ in range(DEPTH_MAX + 1):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        if not inner:
            return False
        level = inner
    return True
