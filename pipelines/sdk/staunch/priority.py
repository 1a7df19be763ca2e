"""Priority: which of the Runs that wait goes first. Declared by `on.priority`."""

from typing import Literal, get_args

Level = Literal["urgent", "high", "normal", "low"]

DECLARED = "__staunch_priority__"


def declared(level: object) -> Level:
    """The declaration. Raises ValueError for a wrong one."""
    if level not in get_args(Level):
        raise ValueError(
            f"on.priority's level must be one of {', '.join(get_args(Level))}, not {level!r}"
        )
    return level  # type: ignore[return-value]
