"""What a Tenant may use up: one record, given to whoever builds a Sandbox.

The limits that the guest keeps itself (commands, steps, sizes) are in `pipelines/guest/limits.py`.
"""

from dataclasses import dataclass

# A small thread stack lets a tenant's C recursion crash the whole process instead of trapping.
STACK_BYTES = 8 * 1024 * 1024
TICK_S = 0.01
# The trace run does the same work again, but tells every line.
TRACE_FACTOR = 2


@dataclass(frozen=True, slots=True)
class Limits:
    """`turn_s` is processor time in one call into the guest; `memory_bytes` its linear memory."""

    turn_s: float = 2.0
    prepare_s: float = 5.0
    memory_bytes: int = 256 * 1024 * 1024
    answer_chars_max: int = 64 * 1024 * 1024
    blanks: int = 4
    primed: int = 3
