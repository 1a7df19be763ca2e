"""Tables of the read model. Everything in them can be thrown away and folded again.

Times are seconds since the epoch. Columns ending in `_json` hold JSON of the struct that they name.
"""

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

# Partial indexes are used only by queries that say the same words, see `open_gates.py`.
OPEN_GATE = "kind = 'gate' AND state = 'running'"
OPEN_ATTEMPT = "finished_at IS NULL"

# A read model of another version is thrown away and folded anew.
VERSION = 21


class RunRow(SQLModel, table=True):
    """One Run as lists show it. `given_json` is what it was started with, or null.
    `waiting_for` says what it waits for, in words, while it does; `open_json`, `paused_json` and
    `wake_at` are those of its newest Turn, `usage_json` too; `note_json` is the newest Note of its
    plan; `trust_json` says how far its code is trusted, and of a pull request also why."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("runs_by_branch", "repo", "is_imported", "parent", "ref", "created_at"),
    )

    id: str = Field(primary_key=True)
    repo: str = Field(index=True)
    repo_name: str
    connection: str
    pipeline: str
    file: str
    bundle: str
    event: str
    ref: str
    commit: str = Field(index=True)
    sender: str = ""
    title: str = ""
    pull_request: int | None = None
    state: str = Field(index=True)
    waiting_for: str = ""
    open_json: str = "{}"
    paused_json: str | None = None
    wake_at: float | None = None
    note_json: str | None = None
    usage_json: str = "{}"
    given_json: str = "null"
    error_json: str | None = None
    output_json: str | None = None
    created_at: float = Field(index=True)
    finished_at: float | None = None
    turns: int = 0
    parent: str = Field(default="", index=True)
    parent_step: str = ""
    shards: int = 0
    attempt: int = 1
    rerun_of: str = ""
    origin: str = Field(default="", index=True)
    fork_of: str = Field(default="", index=True)
    continues: str = ""
    continued_as: str = ""
    priority: str = "normal"
    trust_json: str = "{}"
    is_imported: bool = False


class StepRow(SQLModel, table=True):
    """One Step of a Run, in the order in which the plan asked for it (`position`): in Turn `turn`;
    in Turn `settled_in` it was over."""

    __tablename__ = "steps"
    __table_args__ = (
        # Of all that ever were, those that wait: few, and asked for by every page.
        Index(
            "open_gates",
            "started_at",
            sqlite_where=text(OPEN_GATE),
            postgresql_where=text(OPEN_GATE),
        ),
    )

    run: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    position: int
    kind: str
    state: str
    attempt: int = 1
    started_at: float
    finished_at: float | None = None
    due: float | None = None
    child: str = ""
    recalled_from: str = ""
    gate_json: str | None = None
    approved_by_json: str | None = None
    value_json: str | None = None
    error_json: str | None = None
    turn: int
    settled_in: int | None = None


class AttemptRow(SQLModel, table=True):
    """One Attempt of a Job: queued by a Turn, claimed by a Runner, ended by its report."""

    __tablename__ = "attempts"
    __table_args__ = (
        Index(
            "open_attempts",
            "queued_at",
            sqlite_where=text(OPEN_ATTEMPT),
            postgresql_where=text(OPEN_ATTEMPT),
        ),
    )

    job: str = Field(primary_key=True)
    run: str = Field(index=True)
    key: str
    attempt: int
    pool: str = ""
    state: str
    queued_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: int | None = None
    message: str = ""
    annotations_json: str = "[]"
    summary: str = ""
    left_out_json: str = "[]"
    tests_json: str | None = None
    coverage_json: str | None = None
    artifacts_json: str = "[]"
    denied_json: str = "[]"
    image: str = ""
    services_json: str = "[]"
    runner: str = ""
    log_bytes: int = 0


class ReportedTestRow(SQLModel, table=True):
    """One test as the report of an Attempt has it, in the report's order (`position`)."""

    __tablename__ = "tests"
    __table_args__ = (Index("tests_by_repo", "repo", "at"),)

    job: str = Field(primary_key=True)
    position: int = Field(primary_key=True)
    run: str = Field(index=True)
    key: str
    attempt: int
    repo: str
    commit: str
    at: float
    suite: str = ""
    name: str
    file: str = ""
    outcome: str
    seconds: float = 0.0
    message: str = ""


class TurnRow(SQLModel, table=True):
    """One Turn, for the timeline and the history view. `stored_at`: when it was durable; unset of a
    Run that was imported. `parts_json` are its TurnParts, which only the history view reads."""

    __tablename__ = "turns"

    run: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    at: float
    by: str
    sequence: int
    inputs: int
    commands: int
    results: int
    printed: str = ""
    state: str = "running"
    stored_at: float | None = None
    parts_json: str = "{}"


class InputRow(SQLModel, table=True):
    """One input as it was stored: what happened to the Run, and when."""

    __tablename__ = "inputs"

    run: str = Field(primary_key=True)
    sequence: int = Field(primary_key=True)
    at: float
    type: str
    summary: str = ""


class ProcessStartRow(SQLModel, table=True):
    """A process of the host began: the restart marks of every timeline."""

    __tablename__ = "process_starts"

    role: str = Field(primary_key=True)
    incarnation: str = Field(primary_key=True)
    at: float = Field(index=True)


class DeliveryRow(SQLModel, table=True):
    """One Delivery and what became of it."""

    __tablename__ = "deliveries"

    connection: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    event: str = ""
    received_at: float = Field(default=0.0, index=True)
    state: str = "received"
    reason: str = ""
    runs_json: str = "[]"


class CursorRow(SQLModel, table=True):
    """How far a stream is folded: written in the same transaction as what it led to."""

    __tablename__ = "cursors"

    stream: str = Field(primary_key=True)
    sequence: int = 0
