"""The job directory: the whole protocol between an agent, the shim it started, and the next agent.

Here: file names, the lock, and how state is read off them. Not here: what a shim or an agent does
with it. Only the light half of the standard library, because every shim pays for its imports.

    spec.json      the JobSpec                 by the agent, before the directory has its name
    launch.json    what the shim executes      likewise
    delivery.json  slot, acknowledgement       the agent's own notes; touched every 4 s
    preface.json   the first lines of the log  by the agent, before it starts a shim
    lock           flock'ed for a shim's life; touched once a second
    started        created before anything of the job runs, never removed
    shim.json      {pid, starttime, boot_id} of the shim
    log            output, append only
    cancel.json    the wish to end it          written by the agent
    standby.json   it waits after a failed step, until when
    shell.sock     meanwhile: where the agent opens a terminal
    findings.json  what a job with secrets handed over, masked     just before
    exit.json      how it ended                written last (temporary file, fsync, rename)
    handed/        what the steps hand over    by the job itself
    services/      files and logs of services  by the agent, the shim and the services

State is a function of three of them; no pid is guessed and no socket is needed:

    exit.json                            done
    lock held                            running
    started, lock free, no exit.json     lost: the shim died, and its sandbox with it
    none of these                        starting: nothing ran yet, so a shim may be started
"""

from __future__ import annotations

import fcntl
import json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SPEC = "spec.json"
LAUNCH = "launch.json"
DELIVERY = "delivery.json"
PREFACE = "preface.json"
LOCK = "lock"
STARTED = "started"
SHIM = "shim.json"
SHIM_ERRORS = "shim.err"
LOG = "log"
CANCEL = "cancel.json"
STANDBY = "standby.json"
SHELL = "shell.sock"
FINDINGS = "findings.json"
EXIT = "exit.json"
WORKSPACE = "workspace"
RUN = "run"
# Of those that run beside the steps, each in a folder of its own: see `service_files`.
SERVICES = "services"
VOLUMES = "volumes"
# What the steps hand over beside their log, one file for each kind: see `handed`.
HANDED = "handed"

DONE = "done"
RUNNING = "running"
LOST = "lost"
STARTING = "starting"

# Descriptors that the started process finds open, as `ports.Launch` describes them.
ANSWERS, ORDERS, INFO, ARGUMENTS, FILTER, OUTPUT = 3, 4, 5, 6, 7, 8
# Covered by a private tmpfs in the started process's own mount namespace; the host's is untouched.
STAGE = "/tmp"  # noqa: S108

LOCK_WAIT_S = 1.0
EXIT_LOCKED = 75
EXIT_STARTED_BEFORE = 76


def take_lock(directory: str) -> int | None:
    """Hold the lock until the descriptor closes; None where another shim holds it.

    Waits a moment, because `state_of` holds it for the blink of an eye.
    """
    descriptor = os.open(os.path.join(directory, LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(0.01)
        else:
            return descriptor


def mark_started(directory: str) -> bool:
    """Create `started`, durably; False where it exists, and then nothing may be run again."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        os.close(os.open(os.path.join(directory, STARTED), flags, 0o600))
    except FileExistsError:
        return False
    sync_directory(directory)
    return True


def state_of(directory: str) -> str:
    """One of DONE, RUNNING, LOST, STARTING."""
    if _exists(directory, EXIT):
        return DONE
    if _lock_held(directory):
        return RUNNING
    # The shim may have written exit.json and let go between the two looks.
    if _exists(directory, EXIT):
        return DONE
    return LOST if _exists(directory, STARTED) else STARTING


def write_record(
    directory: str, name: str, record: dict[str, Any], *, is_durable: bool = True
) -> None:
    """Replace a record in one piece: readers see the old or the new; if it is durable, also after
    a power cut."""
    temporary = os.path.join(directory, f".{name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, json.dumps(record).encode())
        if is_durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, os.path.join(directory, name))
    if is_durable:
        sync_directory(directory)


def read_record(directory: str, name: str) -> dict[str, Any] | None:
    """The record, or None where it was never written."""
    try:
        with open(os.path.join(directory, name), "rb") as file:
            record = json.loads(file.read())
    except FileNotFoundError:
        return None
    assert isinstance(record, dict)
    return record


def sync_directory(directory: str) -> None:
    """Make the names in it durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def identity_of(pid: int) -> dict[str, Any] | None:
    """What tells this process from a later one with the same pid; None where there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            # The name may hold spaces and brackets: fields are counted from the last bracket.
            fields = file.read().rpartition(")")[2].split()
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return {"pid": pid, "starttime": int(fields[19]), "boot_id": boot}


def _exists(directory: str, name: str) -> bool:
    return os.path.exists(os.path.join(directory, name))


def _lock_held(directory: str) -> bool:
    try:
        descriptor = os.open(os.path.join(directory, LOCK), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
