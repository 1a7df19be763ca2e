"""An installation that listens for runners of another machine, and that machine."""

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.demo.installation import Gone, until
from tests.e2e.installed import Installed, installed, parsed
from tests.machines import Machine, machine
from tests.patience import PATIENCE_S

# Three of these installations may be at work beside each other on two cores.


class Far:
    """The installation and the machine, and what people do to have runners there."""

    def __init__(self, here: Installed, machine: Machine) -> None:
        self.here = here
        self.machine = machine

    def invited(self, pool: str, *options: str) -> dict[str, Any]:
        """An invitation, as the command line answers it."""
        made = parsed(self.here.staunch("runner", "add", "--pool", pool, *options, "--json"))
        assert made["state"] == "invited"
        return dict(made)

    def joined(self, pool: str, *options: str) -> str:
        """The name of a runner of this pool on the other machine, which is up."""
        made = self.invited(pool, *options)
        runner = str(made["runner"])
        self.started(runner, "--join", made["join"])
        return runner

    def started(self, runner: str, *words: str) -> None:
        """Start its agent, and wait until it is heard."""
        data = ("--data", str(self.machine.folder / runner), "--slots", "1")
        self.machine.start("runners", "agent", *data, *words, hidden=self.here.folder, log=runner)
        try:
            until(f"{runner} to be alive", lambda: self.is_alive(runner), PATIENCE_S)
        except Gone as gone:
            raise AssertionError(f"{gone}; it said: {self.machine.said()}") from gone

    def is_alive(self, runner: str) -> bool:
        """Whether it was heard in the last 90 s."""
        return any(one["runner"] == runner for one in self.here.get("/runners")["runners"])

    def state_of(self, runner: str) -> str:
        """Of its registration."""
        found = self.here.get("/runners/registered")["runners"]
        return str(next(one["state"] for one in found if one["runner"] == runner))

    def at_work(self, run: str) -> dict[str, Any]:
        """The run's newest attempt, once a runner has it."""

        def look() -> dict[str, Any] | None:
            attempts = self.here.show(run)["attempts"]
            return attempts[-1] if attempts and attempts[-1]["runner"] else None

        return until(f"a job of {run} to begin", look, PATIENCE_S)


@contextmanager
def far_machine() -> Iterator[Far]:
    """Both, for a while."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-e2e-"))
    folder.chmod(0o711)
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    try:
        with machine(os.getpid() % 100) as made:
            options = ("--runners-listen", f"0.0.0.0:{port}")
            told = ("--runners-address", f"{made.near}:{port}")
            with installed(folder, *options, *told) as here:
                yield Far(here, made)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
