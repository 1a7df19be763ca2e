"""Retry: how often, how fast and after which outcomes a step is tried again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

from staunch.durations import Duration, seconds

Growth = Literal["constant", "linear", "exponential"]
# A function takes the number of the attempt that failed, from 1, and gives the pause after it.
Backoff = Growth | Callable[[int], Duration]

OUTCOMES = ("failed", "timed_out", "lost", "refused", "cancelled")
ON_DEFAULT = ("failed", "timed_out", "lost")
LIMIT_MAX = 1000
EXIT_CODE_MAX = 255


def _check_codes(codes: object) -> None:
    if isinstance(codes, str) or not isinstance(codes, Sequence):
        raise TypeError(f"Retry's exit_codes must be a list of numbers, not {codes!r}")
    for code in codes:
        if isinstance(code, bool) or not isinstance(code, int) or not 1 <= code <= EXIT_CODE_MAX:
            raise ValueError(f"Retry's exit_codes has {code!r}; they are 1 to {EXIT_CODE_MAX}")


@dataclass(frozen=True, slots=True)
class Retry:
    """Up to `limit` further attempts after the first, each after a pause.

    The pause before retry n is `delay` (constant), n times it (linear) or 2 to the n-1 times it
    (exponential), at most `max_delay`; with `jitter` a random part of it, at least half. `backoff`
    may be a function instead: `lambda attempt: 5 * attempt` is the pause itself, without jitter.
    `on` names the outcomes that are tried again: a job's, or failed and timed_out for `step.do`.
    With `exit_codes` a job that failed is tried again if its step ended with one of these, and only
    then, whatever `on` says of failed.
    """

    limit: int
    delay: Duration = "10s"
    backoff: Backoff = "exponential"
    jitter: bool = True
    max_delay: Duration = "1h"
    on: Sequence[str] = ON_DEFAULT
    exit_codes: Sequence[int] = ()

    def __post_init__(self) -> None:
        """Check it where it is written, not where it is first needed."""
        if isinstance(self.limit, bool) or not isinstance(self.limit, int):
            raise TypeError(f"Retry's limit must be a whole number, not {self.limit!r}")
        if not 0 <= self.limit <= LIMIT_MAX:
            raise ValueError(f"Retry's limit must be 0 to {LIMIT_MAX}, not {self.limit}")
        if not callable(self.backoff) and self.backoff not in get_args(Growth):
            raise ValueError(
                "Retry's backoff must be constant, linear or exponential, or a function of the"
                f" attempt's number, not {self.backoff!r}"
            )
        if callable(self.delay):
            raise TypeError("Retry's delay is no function; write Retry(3, backoff=function)")
        seconds(self.delay, "Retry's delay")
        seconds(self.max_delay, "Retry's max_delay")
        if isinstance(self.on, str):
            raise TypeError(f"Retry's on must be a list of outcomes: on=[{self.on!r}]")
        for outcome in self.on:
            if outcome not in OUTCOMES:
                raise ValueError(f"Retry's on has {outcome!r}; outcomes are {', '.join(OUTCOMES)}")
        _check_codes(self.exit_codes)

    def wants(self, outcome: str, attempt: int, exit_code: int | None = None) -> bool:
        """Whether this outcome of this attempt (from 1) is followed by another."""
        if outcome == "failed" and self.exit_codes:
            return attempt <= self.limit and exit_code in self.exit_codes
        return attempt <= self.limit and outcome in self.on

    def pause(self, attempt: int, dice: Random) -> float:
        """The seconds between the end of `attempt` and the next.

        Raises TypeError or ValueError for what a function gave, and whatever it raised itself.
        """
        assert attempt >= 1, "attempts count from one"
        longest = seconds(self.max_delay)
        if callable(self.backoff):
            what = f"what Retry's backoff gave for attempt {attempt}"
            return min(seconds(self.backoff(attempt), what), longest)
        base = seconds(self.delay)
        if self.backoff == "linear":
            base *= attempt
        elif self.backoff == "exponential":
            base *= 2.0 ** min(attempt - 1, 64)
        pause = min(base, longest)
        return pause * dice.uniform(0.5, 1.0) if self.jitter else pause


NEVER = Retry(0)


def checked(value: object, *, of_job: bool = False) -> Retry:
    """The Retry, or none at all. Raises TypeError for anything else, ValueError for a wrong one."""
    if value is None:
        return NEVER
    if isinstance(value, Retry):
        if value.exit_codes and not of_job:
            raise ValueError("Retry's exit_codes are for step.job: a step.do ends with none")
        return value
    raise TypeError(f"retries must be a Retry, not {value!r}; write retries=Retry(3)")
