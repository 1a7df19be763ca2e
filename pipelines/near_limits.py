"""Near limits: which limits of a Run its Usage comes near to, and which it breaks. Pure."""

from collections.abc import Iterator

import msgspec

from pipelines.guest.limits import EVENTS_RUN_MAX, HISTORY_BYTES_MAX, STEPS_RUN_MAX, WARN_SHARE
from pipelines.turn import TURN_BYTES_MAX
from pipelines.usage import Usage

_NEW = "go on as a new run with step.continue_as_new before that (step.usage tells when)"
_SMALL = "return less from step.do and send less in signals: keep large data in files of a job"


class NearLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of a Run, and how much of it is used. `limit` is the name in Usage."""

    limit: str
    used: int
    max: int

    def words(self) -> str:
        """How much of what, for people."""
        share = self.used * 100 // self.max
        return f"{self.used:,} of at most {self.max:,} {_WORDS[self.limit]} ({share} %)"

    def advice(self) -> str:
        """What an author can do about it."""
        return _ADVICE[self.limit]


_LIMITS = {
    "events": EVENTS_RUN_MAX,
    "steps": STEPS_RUN_MAX,
    "history_bytes": HISTORY_BYTES_MAX,
    "turn_bytes": TURN_BYTES_MAX,
}
_WORDS = {
    "events": "events",
    "steps": "steps",
    "history_bytes": "bytes of history",
    "turn_bytes": "bytes in one turn",
}
_ADVICE = {
    "events": f"{_NEW}, or let fewer jobs and signals do more each",
    "steps": f"{_NEW}, or let fewer steps do more each",
    "history_bytes": f"{_NEW}, or {_SMALL}",
    "turn_bytes": f"{_SMALL}, or wait for something in between",
}


def near_limits(usage: Usage) -> list[NearLimit]:
    """The limits that a Run of this Usage comes near to, or has reached."""
    return [
        NearLimit(limit=limit, used=used, max=most)
        for limit, most in _LIMITS.items()
        if (used := getattr(usage, limit)) >= most * WARN_SHARE
    ]


def crossed(before: Usage, now: Usage) -> list[NearLimit]:
    """Those that it has come near to since `before`."""
    known = {near.limit for near in near_limits(before)}
    return [near for near in near_limits(now) if near.limit not in known]


def broken_limit(usage: Usage) -> NearLimit | None:
    """The first limit that is broken, if one is."""
    return next((near for near in _each(usage) if near.used > near.max), None)


def room_for_events(usage: Usage) -> int:
    """How many more events the Run may take."""
    return max(0, EVENTS_RUN_MAX - usage.events)


def _each(usage: Usage) -> Iterator[NearLimit]:
    for limit, most in _LIMITS.items():
        yield NearLimit(limit=limit, used=getattr(usage, limit), max=most)
