"""`step.job`: work for a Runner, its attempts and its end."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from staunch.artifacts import Artifact, Patterns, found, placed, recorded
from staunch.artifacts import kept as kept_artifacts
from staunch.caches import Cache
from staunch.caches import asked as asked_caches
from staunch.durations import Duration, seconds
from staunch.egress import network_of, reached
from staunch.errors import JobFailed
from staunch.images import image_of
from staunch.isolation import isolation_of
from staunch.ledger import Ledger, Site
from staunch.pauses import pause as wait_pause
from staunch.results import JobResult
from staunch.retry import Retry
from staunch.services import Service
from staunch.services import asked as asked_services
from staunch.shell import Run, commands, environment, text
from staunch.sizes import Size
from staunch.sizes import size as bytes_of
from staunch.standby import check as check_wait
from staunch.standby import debuggers_of, wait_of
from staunch.supposed import NO_DIGEST
from staunch.undo import Rollback, Undo
from staunch.wanted_secrets import Secrets, audience_of, environment_of
from staunch.wanted_secrets import wanted as wanted_secrets

_POOL = re.compile(r"[A-Za-z0-9_-]{1,64}")

TIMEOUT_S_DEFAULT = 3600.0
REPORTS = ("junit", "tap", "cobertura", "sarif")
# What a Runner is told is one message, of at most 8 MB: no character has more than six bytes there.
LABELS_MAX = 20
POOL_DEFAULT = "default"
REQUEST_CHARS_MAX = 1_048_576

# What an outcome means for the step, and whose failure it is.
STATES = {
    "succeeded": ("succeeded", ""),
    "failed": ("failed", "tenant"),
    "timed_out": ("timed_out", "tenant"),
    "cancelled": ("cancelled", "refused"),
    "lost": ("failed", "transient"),
    "refused": ("failed", "refused"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """What to ask for, how often, and from where in the pipeline."""

    request: dict[str, Any]
    retry: Retry
    site: Site
    rollback: Rollback | None = None


def request(
    run: Run,
    env: Mapping[str, str] | None,
    cwd: str,
    timeout: Duration,
    pool: str,
    volumes: Sequence[str],
    checkout: bool,
    reports: Mapping[str, str | Sequence[str]] | None = None,
    artifacts: Mapping[str, Patterns] | None = None,
    files: Sequence[Artifact] = (),
    caches: Sequence[Cache] = (),
    secrets: Secrets = (),
    environment_name: str = "",
    network: str = "",
    egress: Sequence[str] = (),
    id_token: str = "",
    memory: Size | None = None,
    disk: Size | None = None,
    image: str = "",
    isolation: str = "",
    services: Mapping[str, Service] | None = None,
    wait_on_failure: Duration = 0,
    debuggers: Sequence[str] = (),
    labels: Sequence[str] = (),
) -> dict[str, Any]:
    """The JobRequest in its wire form. Raises TypeError or ValueError for a wrong option."""
    asked = _always(run, env, cwd, timeout, pool, volumes, checkout)
    # Only what is asked for is said: what was recorded before there was such an option still fits.
    optional: dict[str, tuple[Any, Callable[[Any], Any]]] = {
        "reports": (reports, _reports),
        "artifacts": (artifacts, kept_artifacts),
        "files": (files, placed),
        "caches": (caches, asked_caches),
        "secrets": (secrets, wanted_secrets),
        "environment": (environment_name, environment_of),
        "network": (network, network_of),
        "egress": (egress, reached),
        "id_token": (id_token, audience_of),
        "memory_bytes": (memory, partial(bytes_of, what="memory")),
        "disk_bytes": (disk, partial(bytes_of, what="disk")),
        "image": (image, image_of),
        "isolation": (isolation, isolation_of),
        "services": (services, asked_services),
        "wait_s": (wait_on_failure, wait_of),
        "debuggers": (debuggers, debuggers_of),
        "labels": (labels, _labels),
    }
    return _checked(asked | {name: form(one) for name, (one, form) in optional.items() if one})


def _always(
    run: Run,
    env: Mapping[str, str] | None,
    cwd: str,
    timeout: Duration,
    pool: str,
    volumes: Sequence[str],
    checkout: bool,
) -> dict[str, Any]:
    """What every request says."""
    _check_place(pool, volumes, checkout)
    return {
        "steps": [command.wire(text(cwd, "cwd")) for command in commands(run)],
        "env": environment(env),
        "timeout_s": seconds(timeout, "timeout"),
        "pool": pool,
        "volumes": [text(volume, "a volume") for volume in volumes],
        "checkout": checkout,
    }


def _check_place(pool: str, volumes: Sequence[str], checkout: bool) -> None:
    """Where the job runs, and with what. Raises TypeError or ValueError."""
    if isinstance(volumes, str):
        raise TypeError(f"volumes must be a list of names: volumes=[{volumes!r}]")
    if not isinstance(checkout, bool):
        raise TypeError(f"checkout must be True or False, not {checkout!r}")
    if not _POOL.fullmatch(text(pool, "pool")):
        raise ValueError(
            f"pool must be the name of a pool of runners (letters, digits, _ and -, at most 64),"
            f" not {pool!r}; leave it out for the default"
        )


def _labels(given: Sequence[str]) -> list[str]:
    """Sorted, each once. Raises TypeError or ValueError."""
    if isinstance(given, str):
        raise TypeError(f"labels must be a list: labels=[{given!r}]")
    for one in given:
        if not _POOL.fullmatch(text(one, "a label")):
            raise ValueError(f"a label has letters, digits, _ and -, at most 64, not {one!r}")
    if len(set(given)) > LABELS_MAX:
        raise ValueError(f"a job asks for {len(set(given))} labels; {LABELS_MAX} are allowed")
    return sorted(set(given))


def _checked(asked: dict[str, Any]) -> dict[str, Any]:
    """The same. Raises ValueError for what each option alone does not show."""
    if "egress" in asked and asked.get("network") != "egress":
        raise ValueError('egress=[…] says what a job reaches that has network="egress"')
    if "labels" in asked and asked["pool"] != POOL_DEFAULT:
        raise ValueError("name a pool, or the labels that it must have, and not both")
    check_wait(asked)
    if (size := _chars(asked)) > REQUEST_CHARS_MAX:
        raise ValueError(
            f"the job's commands and environment have {size:,} characters; {REQUEST_CHARS_MAX:,}"
            " are allowed. Keep big data in files of the repository"
        )
    return asked


def _reports(given: Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    """By kind the patterns of files. Raises TypeError or ValueError."""
    found = {}
    for kind, named in given.items():
        if kind not in REPORTS:
            raise ValueError(f"reports can be of {', '.join(REPORTS)}, not of {kind!r}")
        patterns = [named] if isinstance(named, str) else list(named)
        for pattern in patterns:
            parts = text(pattern, f"a pattern of reports={{{kind!r}: …}}").split("/")
            if not pattern.strip() or ".." in parts or "" in parts:
                raise ValueError(
                    f"a report must be a path in the checkout, such as 'build/*.xml',"
                    f" not {pattern!r}"
                )
        found[kind] = patterns
    return found


def _chars(value: Any) -> int:
    """How long all texts in a request are together."""
    match value:
        case str():
            return len(value)
        case dict():
            return sum(len(name) + _chars(one) for name, one in value.items())
        case list():
            return sum(map(_chars, value))
    return 0


async def run(ledger: Ledger, key: str, call: Call) -> JobResult:
    """Ask for attempts until one succeeds or there may be no further one."""
    if (kept := ledger.recalled("job", key, call.request)) is not None:
        value, number = kept["value"], kept.get("attempt", 1)
        given = ledger.plain(key, value.get("outputs", {}))
        code = value["exit_code"]
        files = found(value.get("artifacts", []))
        result = JobResult(name=key, exit_code=code, attempt=number, outputs=given, artifacts=files)
        return _owed(ledger, key, call, result)
    _check_kept(key, call.request)
    attempt = 1
    while True:
        ledger.ask("job", key, call.request, attempt=attempt, request=call.request)
        report = await _report(ledger, key, attempt, call)
        outcome = report["outcome"]
        if outcome == "succeeded":
            return _settle_succeeded(ledger, key, attempt, call, report)
        error = _error(key, attempt, report)
        pause = _pause(ledger, key, attempt, call, error)
        _settle_failed(ledger, key, attempt, call, error, pause is not None)
        if pause is None:
            raise error
        try:
            await wait_pause(ledger, key, attempt + 1, pause)
        except asyncio.CancelledError:
            ledger.settle("job", key, "cancelled", attempt=attempt)
            raise
        attempt += 1


def _check_kept(key: str, request: dict[str, Any]) -> None:
    """Raises ValueError: it begins with files that nobody has kept."""
    for one in request.get("files", []):
        if one["digest"] == NO_DIGEST:
            raise ValueError(
                f"job {key!r} begins with the files of artifact {one['name']!r}, whose job was not"
                " run but only supposed: name that job with --only, too"
            )


def _pause(ledger: Ledger, key: str, attempt: int, call: Call, error: JobFailed) -> float | None:
    """The pause before a further attempt; None: there is none."""
    if not call.retry.wants(error.outcome, attempt, error.exit_code):
        return None
    try:
        return call.retry.pause(attempt, ledger.dice(f"{key}/{attempt}/pause"))
    except Exception as wrong:
        failure = ledger.failure(wrong, key)
        ledger.settle("job", key, "failed", attempt=attempt, error=failure)
        raise wrong from error


async def _report(ledger: Ledger, key: str, attempt: int, call: Call) -> dict[str, Any]:
    report = ledger.open_job(key, attempt)
    try:
        return await report
    except asyncio.CancelledError:
        # It may have reported in the very moment in which it was cancelled.
        if report.done() and not report.cancelled():
            told = report.result()
            if told["outcome"] == "succeeded":
                _settle_succeeded(ledger, key, attempt, call, told)
            else:
                _settle_failed(ledger, key, attempt, call, _error(key, attempt, told), False)
        else:
            ledger.drop_job(key, _late(ledger, key, attempt, call))
            ledger.settle("job", key, "cancelled", attempt=attempt)
        raise


def _late(
    ledger: Ledger, key: str, attempt: int, call: Call
) -> Callable[[dict[str, Any]], None] | None:
    """For a cancelled job with a rollback: if it succeeds all the same, that is owed."""
    rollback = call.rollback
    if rollback is None:
        return None

    def reported(report: dict[str, Any]) -> None:
        if report["outcome"] == "succeeded":
            ledger.owe(Undo(key, rollback, _result(key, attempt, report)))

    return reported


def _settle_succeeded(
    ledger: Ledger, key: str, attempt: int, call: Call, report: dict[str, Any]
) -> JobResult:
    result = _result(key, attempt, report)
    value: dict[str, Any] = {"exit_code": result.exit_code}
    if result.outputs:
        # A copy: the plan may change its own before this Turn is over.
        value["outputs"] = ledger.plain(key, result.outputs)
    if result.artifacts:
        value["artifacts"] = recorded(result.artifacts)
    ledger.settle("job", key, "succeeded", attempt=attempt, value=value)
    return _owed(ledger, key, call, result)


def _owed(ledger: Ledger, key: str, call: Call, result: JobResult) -> JobResult:
    if call.rollback is not None:
        ledger.owe(Undo(key, call.rollback, result))
    return result


def _result(key: str, attempt: int, report: dict[str, Any]) -> JobResult:
    worked = max(0.0, report.get("finished_at", 0.0) - report.get("started_at", 0.0))
    code = report.get("exit_code")
    return JobResult(
        name=key,
        exit_code=0 if code is None else code,
        attempt=attempt,
        seconds=round(worked, 3),
        runner=report.get("runner", ""),
        outputs=report.get("outputs") or {},
        artifacts=found(report.get("artifacts") or []),
    )


def _error(key: str, attempt: int, report: dict[str, Any]) -> JobFailed:
    return JobFailed(
        key,
        report["outcome"],
        exit_code=report.get("exit_code"),
        attempt=attempt,
        message=report.get("message", ""),
    )


def _settle_failed(
    ledger: Ledger, key: str, attempt: int, call: Call, error: JobFailed, again: bool
) -> None:
    state, kind = STATES.get(error.outcome, ("failed", "tenant"))
    failure = ledger.failure(error, key)
    failure["kind"] = kind
    failure["file"], failure["line"] = call.site
    ledger.settle("job", key, "retrying" if again else state, attempt=attempt, error=failure)
