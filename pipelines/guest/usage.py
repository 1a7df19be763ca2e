"""Usage: a Run's own counts beside their limits, for its plan."""

from staunch.usage import Usage

from pipelines.guest.limits import EVENTS_RUN_MAX, HISTORY_BYTES_MAX, STEPS_RUN_MAX, WARN_SHARE


def usage_of(events: int, steps: int, history_bytes: int) -> Usage:
    """High where people are warned too."""
    parts = (
        (events, EVENTS_RUN_MAX),
        (steps, STEPS_RUN_MAX),
        (history_bytes, HISTORY_BYTES_MAX),
    )
    return Usage(
        events,
        EVENTS_RUN_MAX,
        steps,
        STEPS_RUN_MAX,
        history_bytes,
        HISTORY_BYTES_MAX,
        is_high=any(used >= most * WARN_SHARE for used, most in parts),
    )
