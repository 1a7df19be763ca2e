"""Sizes: `"512m"`, `"2g"` or a number of bytes, as bytes."""

import re

Size = int | str

BYTES_OF = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
BYTES_MIN = 16 << 20
BYTES_MAX = 1 << 50

_form = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt])i?b?\s*", re.IGNORECASE)


def size(value: Size, what: str) -> int:
    """The size in bytes. Raises TypeError or ValueError, naming `what` it was for."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError(f"{what} must be bytes or a text like '512m' or '2g', not {value!r}")
    if isinstance(value, int):
        found = value
    else:
        match = _form.fullmatch(value)
        if match is None:
            raise ValueError(f"{what} {value!r} is no size; write '512m', '2g' or '1.5g'")
        found = int(float(match[1]) * BYTES_OF[match[2].lower()])
    if not BYTES_MIN <= found <= BYTES_MAX:
        raise ValueError(f"{what} {value!r} must be between 16m and 1024t")
    return found
