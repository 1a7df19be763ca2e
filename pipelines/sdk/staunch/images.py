"""The image of a job: the option `image` of `step.job`, checked. Its Runner knows what there is."""

import re
from typing import Any

_REFERENCE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?"
)


def image_of(given: Any) -> str:
    """Raises ValueError where it cannot be the name of one."""
    if not isinstance(given, str) or not _REFERENCE.fullmatch(given):
        raise ValueError(
            f"image must be a name such as 'python', 'python:3.13' or 'python@sha256:…',"
            f" not {given!r}"
        )
    return given
