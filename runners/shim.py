"""The shim: the process that keeps one Job, and outlives the agent that started it.

Here: the lock and the records of the job directory, the order of steps, time limits, and
cancelling. Not here: what the log is (`job_log`), how the sandbox is built (`launch.json` says it)
and what is told to whom (the agent reads the directory). Standard library only, and little of it:
every job pays for it; one with secrets pays for what masks them too.

Theory of operation. The shim runs one process, the driver, behind three pipes: output; orders
(the shim writes a step's number); answers (the driver writes "ready", then an exit code for each).
Because the driver waits for its next order, everything that a finished step wrote is already in
the output pipe when its code arrives: the pipe is emptied first, and headers land where they
belong. Closing the orders ends the driver, the sandbox, and whatever a step left running in it.
"""

from __future__ import annotations

import os
import select
import time

from runners import job_directory, spawn
from runners.attendance import UNATTENDED_S_MAX, Attendance
from runners.job_log import JobLog
from runners.watchdog import Watchdog

# Importing `typing` alone would cost every job several milliseconds before its first command.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runners.egress import Door
    from runners.masking import Forms
    from runners.services import Services
    from runners.standby import Standby

TICK_S = 1.0
READ_BYTES = 1_048_576
CLOSING_S = 5.0


class Shim:
    """One job, from the first order to `exit.json`."""

    def __init__(
        self, directory: str, launch: dict[str, Any], looked_for: Forms | None = None
    ) -> None:
        self.directory = directory
        self.looked_for = looked_for
        self.launch = launch
        self.steps: list[dict[str, Any]] = launch["steps"]
        self.inode = os.stat(directory).st_ino
        self.log = JobLog(directory, launch["log_bytes_max"], looked_for)
        self.step = -1
        self.step_offset = 0
        self.step_started = 0.0
        self.ready = False
        self.answers = b""
        self.outcome = ""
        self.message = ""
        self.exit_code: int | None = None
        self.started_at = time.time()
        self.job_deadline = time.monotonic() + launch["timeout_s"]
        self.step_deadline: float | None = None
        self.kill_at: float | None = None
        self.services: Services | None = None
        self.is_begun = False
        self.door: Door | None = None
        self.dog: Watchdog | None = None
        self.standby: Standby | None = None
        self.poll = select.poll()
        unattended_s = launch.get("unattended_s_max", UNATTENDED_S_MAX)
        self.attendance = Attendance(directory, unattended_s, time.monotonic)

    def run(self, lock: int) -> None:
        """Run the job to its end and write `exit.json`, unless the directory vanished."""
        self.lock = lock
        self._preface()
        wake = spawn.wake_on_signals()
        try:
            self.services = self._start_services()
            net = None if self.services is None else self.services.net
            self.child = spawn.spawn(self.launch, net)
        except OSError as error:
            self._conclude("refused", f"the sandbox could not be started: {error}")
            self._write_exit()
            return
        exited = os.pidfd_open(self.child.pid)
        for descriptor in (wake, exited, self.child.output, self.child.answers):
            self.poll.register(descriptor, select.POLLIN)
        if self.services is not None:
            self.poll.register(self.services, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in self.poll.poll(self._wait_ms())}
            if wake in ready:
                os.read(wake, 512)
                self._stop_wanted()
            if self.child.output in ready and not self._copy_output(READ_BYTES):
                self.poll.unregister(self.child.output)
            if self.child.answers in ready and not self._read_answers():
                self.poll.unregister(self.child.answers)
            if exited in ready:
                break
            self._look_after_services()
            if not self._tick():
                return
        self._after_exit()
        self._write_exit()

    # -- the order of steps

    def _read_answers(self) -> bool:
        data = os.read(self.child.answers, 4096)
        self.answers += data
        while b"\n" in self.answers:
            line, _, self.answers = self.answers.partition(b"\n")
            self._empty_output()
            self._on_answer(line.decode("ascii", "replace"))
        return bool(data)

    def _on_answer(self, answer: str) -> None:
        if answer == "ready" and not self.ready:
            self.ready = True
            self.child.find_init()
            self.dog = self._watchdog()
            self._open_door()
            self._begin()
            return
        # Whatever is no exit code was written by the job itself: it can only hurt its own result.
        code = int(answer) if answer.isdecimal() else 1
        name = self.steps[self.step]["name"]
        if not self.outcome:
            self.log.end_stream()
            took = time.monotonic() - self.step_started
            self.log.header(f"{name}: exit code {code} ({took:.1f} s)")
            self.exit_code = code
            if code == 0:
                self._next_step()
                return
            self._conclude("failed", f"step '{name}' ended with exit code {code}")
            if self._stand_by(name, code):
                return
        elif self.standby is not None:
            self.standby.shell_ended(code)
            return
        self.child.close_orders()

    def _begin(self) -> None:
        """The first step, once the sandbox and all services are ready."""
        if self.is_begun or not self.ready:
            return
        if self.outcome or self.services is None or self.services.are_ready:
            self.is_begun = True
            self._next_step()

    def _start_services(self) -> Services | None:
        if not self.launch.get("services"):
            return None
        from runners.services import Services

        return Services(self.directory, self.launch, self.looked_for, self.log.header)

    def _look_after_services(self) -> None:
        if self.services is None:
            return
        self.services.look()
        if self.is_begun or self.outcome:
            return
        self.services.tick(time.monotonic())
        if self.services.failure:
            self._conclude("failed", self.services.failure)
            self.child.close_orders()
        else:
            self._begin()

    def _watchdog(self) -> Watchdog:
        folders = [job_directory.WORKSPACE, job_directory.HANDED, job_directory.SERVICES]
        places = [os.path.join(self.directory, folder) for folder in folders]
        roots = [self.child.init or self.child.pid]
        if self.services is not None:
            roots += self.services.inits()
        return Watchdog(self.launch, roots, places)

    def _open_door(self) -> None:
        """Let the job reach what it may, before its first step."""
        if not self.launch.get("egress"):
            return
        why: object = "its namespace is not known"
        if self.child.init is not None:
            try:
                self.door = _door(self.launch, self.child.init)
            except OSError as error:
                why = error
        if self.door is None:
            self._conclude("refused", f"the job's network could not be opened: {why}")

    def _next_step(self) -> None:
        if self.outcome:
            self.child.close_orders()
            return
        self.step += 1
        if self.step >= len(self.steps):
            self._conclude("succeeded", "")
            self.child.close_orders()
            return
        step = self.steps[self.step]
        self.log.header(step["name"])
        self.step_offset = self.log.bytes
        self.step_started = time.monotonic()
        limit = step["timeout_s"]
        self.step_deadline = None if limit is None else self.step_started + limit
        self.child.order(self.step)

    def _conclude(self, outcome: str, message: str) -> None:
        """The first reason to end is the outcome; later ones change nothing."""
        if not self.outcome:
            self.outcome, self.message = outcome, message
        self.step_deadline = None
        if self.kill_at is None:
            self.kill_at = time.monotonic() + CLOSING_S

    def _stand_by(self, step: str, code: int) -> bool:
        """Wait for a terminal, if the job is to. How it ended is decided already."""
        wait_s = min(self.launch.get("wait_s", 0.0), self.job_deadline - time.monotonic())
        if wait_s <= 0:
            return False
        from runners.standby import Standby

        try:
            self.standby = Standby(self.directory, self.launch, self.child, self.looked_for)
        except OSError as error:
            self.log.header(f"it cannot wait for a terminal: {error}")
            return False
        self.kill_at = None
        self.log.header(self.standby.begin(self.step, step, code, wait_s))
        self.poll.register(self.standby, select.POLLIN)
        return True

    def _end_wait(self, why: str) -> None:
        assert self.standby is not None
        self.log.header(f"the wait is over: {why}")
        self.poll.unregister(self.standby)
        self.standby.close(f"the wait is over: {why}")
        self.standby = None
        self.child.close_orders()
        self.kill_at = time.monotonic() + CLOSING_S

    # -- ending early

    def _end(self, outcome: str, message: str) -> None:
        """Ask the processes of the job to end; what is left after the grace is killed."""
        if self.standby is not None:
            self._end_wait(message)
        if self.outcome:
            return
        self.log.header(message)
        self._conclude(outcome, message)
        # That of the step before says nothing of this one.
        self.exit_code = None
        self.kill_at = time.monotonic() + self.launch["grace_s"]
        self.child.terminate()
        if self.step < 0:
            self.child.close_orders()

    def _stop_wanted(self) -> None:
        cancel = job_directory.read_record(self.directory, job_directory.CANCEL)
        if cancel is not None:
            reason = cancel.get("reason") or "no reason given"
            self._end("cancelled", f"cancelled: {reason}")
        else:
            self._end("lost", "the runner's machine was told to stop")

    def _tick(self) -> bool:
        """Look after limits and the directory; False where the directory is gone."""
        now = time.monotonic()
        try:
            vanished = os.stat(self.directory).st_ino != self.inode
        except FileNotFoundError:
            vanished = True
        if vanished:
            # Nobody can learn how this job ends any more, so it must not go on.
            self.child.kill()
            return False
        os.utime(self.lock)
        if self.door is not None:
            self.door.keep()
        if self.standby is not None:
            self.standby.turn()
        if not self._is_ending():
            self._check_limits(now)
            if os.path.exists(os.path.join(self.directory, job_directory.CANCEL)):
                self._stop_wanted()
        if self.kill_at is not None and now >= self.kill_at:
            self.child.kill()
            self.kill_at = now + CLOSING_S
        return True

    def _check_limits(self, now: float) -> None:
        step = self.steps[self.step] if 0 <= self.step < len(self.steps) else {"name": "start"}
        if self.step_deadline is not None and now >= self.step_deadline:
            limit = f"its limit of {step['timeout_s']:g} s"
            self._end("timed_out", f"step '{step['name']}' ran longer than {limit}")
        elif self.standby is not None and (why := self.standby.over(now)):
            self._end("failed", why)
        elif now >= self.job_deadline:
            limit = f"the job's limit of {self.launch['timeout_s']:g} s"
            self._end("timed_out", f"step '{step['name']}' was running at {limit}")
        elif self.dog is not None and (breach := self.dog.look(now)):
            self._end("failed", breach)
            # Whoever takes too much gets no time to take more.
            self.kill_at = now
        elif why := self.attendance.missed():
            self._end("lost", why)

    def _is_ending(self) -> bool:
        return bool(self.outcome) and self.standby is None

    def _wait_ms(self) -> float:
        is_ending = self._is_ending()
        due = [self.kill_at] if is_ending else [self.job_deadline, self.step_deadline]
        if self.dog is not None and not is_ending:
            due.append(self.dog.due)
        if self.services is not None and not (self.is_begun or self.outcome):
            due.append(self.services.due)
        if self.standby is not None:
            due.append(self.standby.due)
        now = time.monotonic()
        waits = [moment - now for moment in due if moment is not None]
        return max(0.0, min([TICK_S, *waits]) * 1000 + 1)

    # -- the log

    def _copy_output(self, size: int) -> bool:
        try:
            data = os.read(self.child.output, size)
        except BlockingIOError:
            return True
        self.log.add(data)
        return bool(data)

    def _empty_output(self) -> None:
        while select.select([self.child.output], [], [], 0)[0]:
            if not self._copy_output(READ_BYTES):
                return

    def _preface(self) -> None:
        said = job_directory.read_record(self.directory, job_directory.PREFACE)
        for line in said["lines"] if said else []:
            self.log.header(line)

    # -- the end

    def _after_exit(self) -> None:
        """The driver is gone: the rest of the tree goes too, and the rest of the output is kept."""
        if self.standby is not None:
            self._end_wait("the sandbox ended")
        self.child.kill()
        self._empty_output()
        self.log.end_stream()
        if self.services is not None:
            self.services.close()
        status = self.child.wait()
        if self.outcome:
            return
        if not self.ready:
            self._conclude("refused", f"the sandbox did not start: {self.log.first_words()}")
            return
        name = self.steps[self.step]["name"] if self.step >= 0 else "start"
        self._conclude("failed", f"the sandbox ended during step '{name}' (status {status})")

    def _denied(self) -> list[str]:
        found = [] if self.door is None else self.door.denied()
        return found if self.looked_for is None else [self.looked_for.mask(one) for one in found]

    def _write_exit(self) -> None:
        self.log.sync()
        if self.looked_for is not None:
            from pathlib import Path

            from runners import masked_findings

            masked_findings.write(Path(self.directory), self.looked_for, self.outcome)
        record = {
            "services": [] if self.services is None else self.services.told(),
            "denied": self._denied(),
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "message": self.message,
            "step": self.step,
            "step_offset": self.step_offset,
            "started_at": self.started_at,
            "finished_at": time.time(),
            "log_bytes": self.log.bytes,
        }
        job_directory.write_record(self.directory, job_directory.EXIT, record)


def _door(launch: dict[str, Any], init: int) -> Door:
    from runners.egress import Door

    return Door(launch, init)
