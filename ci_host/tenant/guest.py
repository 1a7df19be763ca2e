"""The Guest port: one instance of the guest image, spoken to in strings (docs/abi.md).

Filled in by `adapters/wasm` (the real one) and by `native` (tests and simulation).
"""

from enum import StrEnum
from typing import Protocol


class Breach(StrEnum):
    """Why an instance was stopped."""

    TIME = "time"
    STACK = "stack"
    MEMORY = "memory"
    FORBIDDEN = "forbidden"
    OUTPUT = "output"
    CRASH = "crash"


class Trapped(Exception):
    """The instance broke a limit and is dead. `told` is the last of what it wrote there."""

    def __init__(self, breach: Breach, detail: str, told: str) -> None:
        super().__init__(f"{breach}: {detail}")
        self.breach = breach
        self.detail = detail
        self.told = told


class Refused(Exception):
    """The guest answered `err`: `failure` is the JSON of a Failure."""

    def __init__(self, failure: str) -> None:
        super().__init__(failure)
        self.failure = failure


class Guest(Protocol):
    """One instance. Used by one thread at a time, for one Run (or one `prepare`), then closed."""

    @property
    def has_seen_clock(self) -> bool:
        """Whether it asked for the time so far; true as well where nobody can tell."""
        ...

    def call(self, export: str, argument: str, *, now: float, seconds: float) -> str:
        """Call an export and return its answer.

        `now` is what the guest's clocks say at first; `seconds` the processor time it may use.
        Raises Refused, Trapped (the instance is dead then), or sandbox.SandboxStarved.
        """
        ...

    def close(self) -> None:
        """Give everything back. May be called twice."""
        ...


class GuestImage(Protocol):
    """A built guest image. `digest` names its content, `boot_kind` what `boot` does to a blank."""

    @property
    def digest(self) -> str: ...

    @property
    def boot_kind(self) -> str: ...

    def boot(self) -> Guest:
        """A new instance with `ready` called: always the same steps, for they are in the trace."""
        ...
