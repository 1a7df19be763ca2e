"""`step.set`: what a person sees of a Run while it goes on."""

import math
from typing import Any

TEXT_CHARS_MAX = 256


def note(text: object, done: object, total: object) -> dict[str, Any]:
    """A Note in its wire form: one line, cut to its limit. Raises TypeError or ValueError."""
    if not isinstance(text, str):
        raise TypeError(f"step.set needs a text, not {text!r}")
    if total is not None and done is None:
        raise ValueError(f"total={total!r} says nothing without done=…")
    shown = "".join(char if char.isprintable() else " " for char in text[: 4 * TEXT_CHARS_MAX])
    line = " ".join(shown.split())
    if len(line) > TEXT_CHARS_MAX:
        line = line[: TEXT_CHARS_MAX - 1] + "…"
    return {"text": line, "done": _count(done, "done"), "total": _count(total, "total")}


def _count(value: object, what: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} must be a number, not {value!r}")
    if not math.isfinite(value) or not 0 <= value < 2**63:
        raise ValueError(f"{what} must be 0 or more, and finite, not {value!r}")
    return value
