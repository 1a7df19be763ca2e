"""The option `isolation` of `step.job`, checked. Whether a Runner can give it, the Runner says."""

from typing import Any

ISOLATION = ("sandbox",)


def isolation_of(given: Any) -> str:
    """Raises ValueError for one that there is not."""
    if given not in ISOLATION:
        raise ValueError(f"isolation must be {' or '.join(map(repr, ISOLATION))}, not {given!r}")
    return str(given)
