"""Words: times, lengths of time, states and refs as people read them. Pure."""

import shlex
from datetime import UTC, datetime

import msgspec

from ci_host.adapters.sql.tables import RunRow
from ci_host.api.views import usage_of
from pipelines.ids import StepKey, step_token
from pipelines.job import Coverage, CoveredFile
from pipelines.near_limits import NearLimit, near_limits
from pipelines.note import Note

WAITING = "waiting"
GIVEN_CHARS_MAX = 160
# Of the files of a job's coverage.
FILES_SHOWN_MAX = 20

# What a state is called beside its icon; its colour is never the only sign.
STATE_WORDS = {
    "pending": "Pending",
    "queued": "Queued",
    "running": "Running",
    "retrying": "Retrying",
    "waiting": "Waiting",
    "paused": "Paused",
    "succeeded": "Succeeded",
    "failed": "Failed",
    "timed_out": "Timed out",
    "cancelled": "Cancelled",
    "continued": "Continued",
    "lost": "Runner lost",
    "refused": "Refused",
    "received": "Received",
    "started": "Started",
    "ignored": "Ignored",
    "held": "Held",
    "done": "Done",
}

# What happened to a Run, before what is known of it.
INPUT_WORDS = {
    "run_started": "the run began",
    "job_finished": "job",
    "gate_answered": "gate",
    "signal_sent": "signal",
    "timer_fired": "a timer was due",
    "retry_requested": "retry of",
    "cancel_requested": "cancelled",
    "child_finished": "called run",
    "pause_requested": "paused",
    "resume_requested": "resumed",
    "kill_requested": "killed",
    "group_entered": "entered group",
    "group_refused": "its group refused it",
}
# Where a colon stands between both.
APART = frozenset({"run_started", "group_refused"})

EVENT_WORDS = {
    "pull_request": "Pull request",
    "merge_group": "Merge queue",
    "manual": "By hand",
}


# What is said of a service whose state has no message; of one that nothing is told of yet: nothing.
SERVICE_WORDS = {"ready": "ready", "starting": "was starting"}
DIGEST_SHOWN = 12
GIB = 2**30
# What the name of a setting may end with; `_s`: seconds.
SETTING_UNITS = ("_bytes", "_days", "_s")


def typed(name: str) -> str:
    """A name in a command that is shown to be pasted: one word to a shell, whatever is in it."""
    return shlex.quote(name)


def trust(run: RunRow) -> dict[str, str]:
    """How far the Run's code is trusted, and of a pull request also why."""
    found: dict[str, str] = msgspec.json.decode(run.trust_json)
    return {"why": "", "base": "", "by": "", **found}


def input_words(kind: str, summary: str) -> str:
    """What happened to a Run in one line: `job unit #1 failed`."""
    said = INPUT_WORDS.get(kind, kind.replace("_", " "))
    return f"{said}{':' if kind in APART and summary else ''} {summary}".rstrip()


def service_word(state: str) -> str:
    """The state of a service."""
    return SERVICE_WORDS.get(state, "")


def image(reference: str) -> str:
    """An image with as much of its digest as tells it from others."""
    name, at, digest = reference.partition("@sha256:")
    return f"{name}@{digest[:DIGEST_SHOWN]}" if at else name


def duration(seconds: float) -> str:
    """A length of time in its two largest units; below ten seconds with a tenth."""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for size, unit, below, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "m")):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // below:02d}{small}"
    return f"{whole // 60}m {whole % 60:02d}s" if whole >= 60 else f"{whole}s"


def age(at: float, now: float) -> str:
    """How long ago, in one unit."""
    seconds = max(0, int(now - at))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago" if seconds >= 5 else "just now"


def until(at: float, now: float) -> str:
    """How long it is till then."""
    return f"in {duration(at - now)}" if at - now >= 1 else "due now"


def moment(at: float) -> str:
    """A point in time, as ISO 8601 in UTC: what `<time datetime>` takes."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def clock(at: float) -> str:
    """A point in time as people read it without JavaScript, which shows it in their own zone."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def state_word(state: str) -> str:
    """A state's name on a page."""
    return STATE_WORDS.get(state, state.replace("_", " ").capitalize())


def event_word(kind: str) -> str:
    """An event's kind on a page."""
    return EVENT_WORDS.get(kind, kind.replace("_", " ").capitalize())


def shown_state(run: RunRow) -> str:
    """A Run's state, with `waiting` for one that moves only when somebody outside acts."""
    if run.state == "running" and run.waiting_for:
        parts = run.waiting_for.split(", ")
        if not any(part.startswith("job ") for part in parts):
            return WAITING
    return run.state


def near(run: RunRow) -> list[NearLimit]:
    """The limits that a Run comes near to."""
    return near_limits(usage_of(run))


def note(run: RunRow) -> str:
    """What the plan says of itself, or nothing."""
    if run.note_json is None:
        return ""
    return msgspec.json.decode(run.note_json, type=Note).words()


def given(run: RunRow) -> list[str]:
    """What the Run was started with: `percent = 25`."""
    found = msgspec.json.decode(run.given_json)
    inputs = found if isinstance(found, dict) else {}
    return [f"{name} = {_shown(value)}" for name, value in inputs.items()]


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= GIVEN_CHARS_MAX else text[: GIVEN_CHARS_MAX - 1] + "…"


def ref_name(ref: str) -> str:
    """A ref as people call it: `main`, `v1.2`, `pull/7`, `pull-requests/7`."""
    for prefix in ("refs/heads/", "refs/tags/"):
        if ref.startswith(prefix):
            return ref.removeprefix(prefix)
    if ref.startswith(("refs/pull/", "refs/merge-requests/", "refs/pull-requests/")):
        return ref.removeprefix("refs/").removesuffix("/head").removesuffix("/from")
    return ref


def step_anchor(key: str) -> str:
    """Where a Step is on its Run's page."""
    return f"step-{step_token(StepKey(key))}"


def amount(size: int) -> str:
    """A number of bytes for people, in powers of a thousand: `5.0 MB`."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{size} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def setting_name(name: str) -> str:
    """A setting's name for people: its unit stands behind the value."""
    return name.removesuffix(_unit_of(name)).replace("_", " ")


def setting(name: str, value: object) -> str:
    """A setting's value, with its unit."""
    unit = _unit_of(name)
    if unit == "_bytes" and isinstance(value, int):
        return f"{value / GIB:g} GiB"
    return f"{value:g} {unit[1:]}" if unit and isinstance(value, int | float) else str(value)


def _unit_of(name: str) -> str:
    return next((unit for unit in SETTING_UNITS if name.endswith(unit)), "")


def least_covered(coverage: Coverage) -> list[CoveredFile]:
    """The files with the most lines missed, as many as are shown."""
    missing = [one for one in coverage.files if one.covered < one.lines]
    return sorted(missing, key=lambda one: one.covered - one.lines)[:FILES_SHOWN_MAX]
