"""Another machine: a network namespace with one wire to this one, and another idea of the disk."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STOP_S = 20.0


class Machine:
    """`near` is this machine's address on the wire, `far` the other's."""

    def __init__(self, name: str, network: str) -> None:
        self.name = name
        self.near, self.far = f"{network}.1", f"{network}.2"
        self.folder = Path(tempfile.mkdtemp(prefix="staunch-machine-"))
        self.folder.chmod(0o711)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def plug_in(self) -> None:
        """Make the namespace, and the wire."""
        here, there = f"{self.name}-a", f"{self.name}-b"
        for words in (
            f"netns add {self.name}",
            f"link add {here} type veth peer name {there} netns {self.name}",
            f"addr add {self.near}/30 dev {here}",
            f"link set {here} up",
            f"-n {self.name} addr add {self.far}/30 dev {there}",
            f"-n {self.name} link set {there} up",
            f"-n {self.name} link set lo up",
        ):
            _ip(words)

    def start(self, *words: str, hidden: Path, log: str) -> None:
        """Start a Python module there; what lies in `hidden` is not on its disk. `log` is its name
        here."""
        # The namespace of mounts is its own too: `ip netns exec` makes one.
        script = 'mount -t tmpfs -o mode=711 none "$0" && exec "$@"'
        command = ["ip", "netns", "exec", self.name, "sh", "-c", script, str(hidden)]
        with (self.folder / f"{log}.log").open("ab") as output:
            self._processes[log] = subprocess.Popen(
                [*command, sys.executable, "-m", *words],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            )

    def runs(self, log: str) -> bool:
        """Whether the process is there."""
        return self._processes[log].poll() is None

    def code_of(self, log: str) -> int | None:
        """How it ended."""
        return self._processes[log].poll()

    def kill(self, log: str, number: int) -> None:
        """End it, and wait for that. The shell before it has become the process."""
        self._processes[log].send_signal(number)
        self._processes[log].wait()

    def said(self) -> str:
        """What its processes have told so far."""
        return "".join(log.read_text(errors="replace") for log in self.folder.glob("*.log"))

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """The wire is cut meanwhile: nothing arrives, and nobody is told."""
        _ip(f"link set {self.name}-a down")
        try:
            yield
        finally:
            _ip(f"link set {self.name}-a up")

    def stop(self) -> None:
        """Ask its processes to end, and wait for that."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def destroy(self) -> None:
        """End all that runs there, and the machine."""
        self.stop()
        left = subprocess.run(
            ["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False
        )
        for pid in left.stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        subprocess.run(["ip", "netns", "del", self.name], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def why_none() -> str:
    """Why there can be no other machine here, or nothing."""
    if os.geteuid() != 0:
        return "another machine is a network namespace, which only root can wire to this one"
    if shutil.which("ip") is None:
        return "another machine is made with `ip`, of Debian's iproute2"
    name = f"st{os.getpid() % 100_000}x"
    tried = subprocess.run(
        ["ip", "netns", "add", name], capture_output=True, text=True, check=False
    )
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return tried.stderr.strip()


@contextmanager
def machine(number: int) -> Iterator[Machine]:
    """One on a wire of its own; `number` tells it from others of this test run."""
    made = Machine(f"st{os.getpid() % 100_000}n{number}", f"10.213.{os.getpid() % 250}")
    made.plug_in()
    try:
        yield made
    finally:
        made.destroy()
