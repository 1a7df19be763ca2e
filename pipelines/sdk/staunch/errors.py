"""The errors of a plan.

Exception
├── JobFailed       a job did not succeed, and there was no further attempt
├── RunFailed       a pipeline that was called did not succeed
├── StepTimedOut    a step had a time-out, and it passed
├── GateRejected    somebody allowed to answer said no
├── GateTimedOut    nobody opened the gate in time
├── NonRetryable    raise it inside `step.do` to stop its retries
└── RetryAfter      raise it inside `step.do` to say when the next attempt is worth while

Nobody raises in a plan:
RunTimedOut         the Run took longer than its `run_timeout`

BaseException
└── LimitBreached   the plan is too big; it cannot be caught by `except Exception`
"""

from staunch.durations import Duration, seconds


class NonRetryable(Exception):
    """Raise this (or a subclass) in a `step.do` body: trying again would not help."""


class RetryAfter(Exception):
    """Raise this in a `step.do` body: it failed for now, and may be tried again after `delay`.

    A failed attempt like others, so it takes a `retries`; only the pause is this one.
    """

    def __init__(self, delay: Duration, message: str = "") -> None:
        self.seconds = seconds(delay, "RetryAfter's delay")
        super().__init__(message or f"try again after {self.seconds:g} s")


class JobFailed(Exception):
    """A job did not succeed. `outcome` is failed, timed_out, cancelled, lost or refused."""

    def __init__(
        self,
        job: str,
        outcome: str,
        *,
        exit_code: int | None = None,
        attempt: int = 1,
        message: str = "",
    ) -> None:
        how = outcome.replace("_", " ")
        if exit_code is not None:
            how += f" with exit code {exit_code}"
        if attempt > 1:
            how += f" in attempt {attempt}"
        super().__init__(f"job {job!r} {how}" + (f": {message}" if message else ""))
        self.step = job
        self.job = job
        self.outcome = outcome
        self.exit_code = exit_code
        self.attempt = attempt
        self.message = message


class RunFailed(Exception):
    """A pipeline that `step.call` began did not succeed. `run` is its id, `state` how it ended."""

    def __init__(self, call: str, run: str, state: str, message: str = "") -> None:
        said = f": {message}" if message else ""
        super().__init__(f"run {run}, begun by {call!r}, {state}{said}")
        self.step = call
        self.run = run
        self.state = state
        self.message = message


class StepTimedOut(Exception):
    """A `do` attempt or a `wait_for_event` took longer than its `timeout`."""

    def __init__(self, step: str, seconds: float) -> None:
        super().__init__(f"step {step!r} was not done within {seconds:g} s")
        self.step = step
        self.seconds = seconds


class GateRejected(Exception):
    """Somebody who may answer at this gate rejected it; `by` is empty where its timeout did."""

    def __init__(self, gate: str, by: str, comment: str = "") -> None:
        super().__init__(
            f"gate {gate!r} was rejected by {by or 'its timeout'}"
            + (f": {comment}" if comment else "")
        )
        self.step = gate
        self.gate = gate
        self.by = by
        self.comment = comment


class GateTimedOut(Exception):
    """The gate was not opened in time."""

    def __init__(self, gate: str, seconds: float) -> None:
        super().__init__(f"gate {gate!r} was not opened within {seconds:g} s")
        self.step = gate
        self.gate = gate
        self.seconds = seconds


class RunTimedOut(Exception):
    """Why a Run failed that was not done within its `run_timeout`. The plan sees a cancel."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the run was not done within {seconds:g} s, its run_timeout")
        self.seconds = seconds


class LimitBreached(BaseException):
    """The plan asked for more than a Run may have. Ends the Run; not for catching."""
