"""Finding: one mistake, where it is, and what to do about it."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Lines and columns count from 1, columns in characters; the end is behind the last one."""

    file: str
    line: int
    column: int
    rule: str
    message: str
    fix: str
    end_line: int
    end_column: int

    def told(self) -> dict[str, Any]:
        """As programs get it."""
        return asdict(self)
