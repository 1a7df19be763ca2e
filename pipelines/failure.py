"""Failure: why something did not succeed, in a form that can be stored, shown and acted on.

Four kinds, never mixed: the tenant's own mistake, a passing fault, a refusal by policy, and a bug
of ours. Only a tenant's failure carries a file and a line.
"""

from enum import StrEnum

import msgspec

MESSAGE_CHARS_MAX = 4_000
TRACEBACK_CHARS_MAX = 16_000


class FailureKind(StrEnum):
    TENANT = "tenant"
    TRANSIENT = "transient"
    REFUSED = "refused"
    OURS = "ours"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """`type` is the exception's class name; `file` is relative to the repository; lines from 1."""

    type: str
    message: str
    kind: FailureKind = FailureKind.TENANT
    file: str | None = None
    line: int | None = None
    traceback: str = ""
    step: str | None = None

    def where(self) -> str:
        """`file:line`, or as much of it as is known."""
        if self.file is None:
            return ""
        return self.file if self.line is None else f"{self.file}:{self.line}"
