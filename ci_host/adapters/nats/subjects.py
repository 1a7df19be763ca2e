"""Subjects: every name on the bus, in one place. docs/bus.md says what each one holds."""

import hashlib

from pipelines.ids import JobId, RunId, shard_of
from pipelines.priority import Priority

# The server waits for the disk once a message, in each stream by itself: Deliveries have several.
INTAKE_LANES = 4
OUTCOMES = "OUTCOMES"
JOBS = "JOBS"
OFFERS = "OFFERS"
LEASES = "LEASES"
CANCELS = "CANCELS"
CACHES = "CACHES"
LOGS = "LOGS"
RUNNERS = "RUNNERS"
STATUSES = "STATUSES"
UNTOLD = "UNTOLD"
BLOBS = "BLOBS"
CONFIG = "CONFIG"
HOST = "HOST"
GROUPS = "GROUPS"
IMPORTS = "IMPORTS"
SCHEDULES = "SCHEDULES"
ALARMS = "ALARMS"
SECRETS = "SECRETS"
SHELLS = "SHELLS"
REGISTRATIONS = "REGISTRATIONS"
TRUST = "TRUST"
SESSIONS = "SESSIONS"
AUDIT = "AUDIT"
# One subject: the order of all that people did.
DEED = "audit.deed"
SIGHTS = "SIGHTS"
HEARD = "HEARD"
COMMENTS = "COMMENTS"
ANNOUNCEMENTS = "ANNOUNCEMENTS"
VIEWS = "VIEWS"
KEYS = "KEYS"


def runs_stream(shard: int) -> str:
    """The stream that keeps a shard's Histories."""
    return f"RUNS_{shard}"


def run_subject(run: RunId, kind: str) -> str:
    """`in`, `turn`, `timer`, or `>` for all three."""
    return f"run.{shard_of(run)}.{run}.{kind}"


def imported(run: str) -> str:
    """Where the export of a Run of another installation is kept."""
    return f"import.{run}"


def moved(run: RunId) -> str:
    """The hint that a Run has a new Turn. Not stored."""
    return f"moved.{run}"


def run_of(subject: str) -> RunId:
    """The Run that a `run.<k>.<id>.<kind>` subject belongs to."""
    return RunId(subject.split(".")[2])


def token(text: str) -> str:
    """Any text as one subject token."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def intake_stream(lane: int) -> str:
    """The stream that keeps a lane's Deliveries. The first was the only one once."""
    return f"INTAKE_{lane}" if lane else "INTAKE"


def intake_subjects(lane: int) -> str:
    """All that is in such a stream, and in none of the others."""
    return f"intake.*.*.{lane}" if lane else "intake.*.*"


def intake(connection: str, delivery: str) -> tuple[str, str]:
    """Where a Delivery is kept: the stream and the subject. Its lane follows from its id."""
    lane = int(token(delivery), 16) % INTAKE_LANES
    first, subject = first_lane(connection, delivery)
    return (intake_stream(lane), f"{subject}.{lane}") if lane else (first, subject)


def start_key(repo: str, key: str) -> str:
    """Which start in a repository has this key."""
    return f"key.{token(repo)}.{token(key)}"


def first_lane(connection: str, delivery: str) -> tuple[str, str]:
    """The same in the first lane, where a Delivery of any id was once."""
    return intake_stream(0), f"intake.{connection}.{token(delivery)}"


def outcome(connection: str, delivery: str) -> str:
    """Where it is told what became of a Delivery."""
    return f"outcome.{connection}.{token(delivery)}"


def job_queue(pool: str, level: Priority) -> str:
    """The queue of a pool for jobs of this priority."""
    return f"jobs.{pool}" if level is Priority.NORMAL else f"jobs.{pool}.{level}"


def offer(job: JobId) -> str:
    """Where a Job waits until it is released to its queue."""
    return f"offer.{job}"


def job_consumer(pool: str, level: Priority) -> str:
    """The consumer of such a queue. A pool may have any name with dashes, so the level is first."""
    return f"runners-{pool}" if level is Priority.NORMAL else f"{level}-runners-{pool}"


def registration(runner: str) -> str:
    """A Runner of another machine."""
    return f"registration.{runner}"


def lease(job: JobId) -> str:
    """The claim of an Attempt."""
    return f"lease.{job}"


def cancel(job: JobId) -> str:
    """The wish that an Attempt ends."""
    return f"cancel.{job}"


def log(job: JobId) -> str:
    """An Attempt's log."""
    return f"log.{job}"


def status(connection: str, place: str, status_id: str) -> str:
    """A status on its way. One of before places were known has none, and three parts."""
    return f"status.{connection}.{place}.{status_id}"


def untold(connection: str, place: str) -> str:
    """What no forge took of one place."""
    return f"untold.{connection}.{place}"


def blob(digest: str) -> str:
    """Bytes by digest."""
    return f"blob.{digest}"


def prepared(bundle: str, image: str) -> str:
    """What a guest image made of a Bundle."""
    return f"prepared.{bundle}.{image}"


def config(kind: str, name: str) -> str:
    """One setting of the host."""
    return f"config.{kind}.{token(name)}"


def session(digest: str) -> str:
    """The key of somebody who logged in at a forge."""
    return f"session.{digest}"


def views(person: str) -> str:
    """The lists of runs that somebody has named."""
    return f"view.{token(person)}"


def held(repo: str, number: int) -> str:
    """A pull request that waits for an approval."""
    return f"trust.held.{token(repo)}.{number}"


def approval(repo: str, number: int, commit: str) -> str:
    """The approval of one commit of a pull request."""
    return f"trust.approval.{token(repo)}.{number}.{token(commit)}"


def pull_report(connection: str, repo: str, number: int) -> str:
    """What is known of a pull request, for its comment."""
    return f"comment.{connection}.report.{token(repo)}.{number}"


def announcement(repo: str, id_: str) -> str:
    """What programs outside are told; its id has three tokens. `>` for all of a Repo."""
    return f"announcement.{token(repo)}.{id_}"


def command_answer(connection: str, repo: str, comment: str) -> str:
    """What became of a command in a comment."""
    return f"comment.{connection}.answer.{token(repo)}.{token(comment)}"


def taken_command(repo: str, wish: str) -> str:
    """A command in a comment, since it was first taken."""
    return f"commanded.{token(repo)}.{token(wish)}"


def group(repo: str, key: str) -> str:
    """One concurrency group of a Repo."""
    return f"group.{token(repo)}.{token(key)}"


def schedules(repo: str) -> str:
    """A Repo's Timetable."""
    return f"schedule.{token(repo)}"


def alarm(repo: str) -> str:
    """When a Repo's Timetable is to be looked at."""
    return f"alarm.{token(repo)}"


def rung(repo: str) -> str:
    """That it is to be looked at now."""
    return f"rung.{token(repo)}"


def sight(repo: str) -> str:
    """How a Repo's refs were when they were last seen."""
    return f"sight.{token(repo)}"


def not_compared(subject: str) -> str:
    """That the refs of a Repo, or of a Connection, are not compared."""
    return f"uncompared.{token(subject)}"


def heard(repo: str, ref: str) -> str:
    """What a Delivery told of a ref."""
    return f"heard.{token(repo)}.{token(ref)}"


def host(role: str, incarnation: str) -> str:
    """One start of a process."""
    return f"host.{role}.{incarnation}"
