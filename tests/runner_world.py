"""A bus, its streams, and real agent processes, for the tests of the runner."""

import asyncio
import contextlib
import inspect
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import nats

from pipelines.events import JobFinished
from pipelines.job import CancelJob, JobRequest, JobSpec, LogChunk, ShellStep, Source
from pipelines.priority import Priority
from pipelines.service import log_of_service
from runners.link.nats import queue_of
from tests.demo.installation import free_port
from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parent.parent
RUN = "0-0123456789abcdef0123"
# Then the server is asked once more: it may have been killed with the question.
ANSWER_S = 10.0

STREAMS = [
    {"name": "RUNS_0", "subjects": ["run.0.>"], "allow_msg_schedules": True},
    {"name": "OFFERS", "subjects": ["offer.>"]},
    {"name": "CONFIG", "subjects": ["config.>"], "max_msgs_per_subject": 1},
    {"name": "JOBS", "subjects": ["jobs.>"], "retention": "workqueue"},
    {"name": "LEASES", "subjects": ["lease.>"]},
    {"name": "CANCELS", "subjects": ["cancel.>"], "max_msgs_per_subject": 1},
    {"name": "CACHES", "subjects": ["cache.>"], "max_msgs_per_subject": 1},
    {"name": "LOGS", "subjects": ["log.>"]},
    {"name": "RUNNERS", "subjects": ["runner.*"], "max_msgs_per_subject": 1},
]


async def until(condition, what="the condition", timeout_s=PATIENCE_S):
    """Poll, boundedly, and answer the first true value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s} s"
        await asyncio.sleep(0.02)


def make_mirror(root: Path, files: dict[str, str]) -> Source:
    """A bare repository with one commit."""
    work = root / "work"
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-C", str(work)]
    work.mkdir(parents=True)
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    for name, text in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "first"], check=True)
    mirror = root / "mirror.git"
    subprocess.run(["git", "clone", "-q", "--bare", str(work), str(mirror)], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return Source(mirror=str(mirror), commit=head.stdout.strip())


def make_spec(source: Source | None, *runs: str, **more) -> JobSpec:
    """A job of shell commands; `more` goes to the request, but for what is the spec's own."""
    key, attempt = more.pop("key", "unit"), more.pop("attempt", 1)
    repo = more.pop("repo", "example")
    context, priority = more.pop("context", {}), more.pop("priority", Priority.NORMAL)
    steps = more.pop("steps", None) or [ShellStep(run=run) for run in runs]
    more.setdefault("checkout", source is not None)
    return JobSpec(
        id=f"{RUN}.{key}.{attempt}",
        run=RUN,
        key=key,
        attempt=attempt,
        request=JobRequest(steps=steps, **more),
        source=source or Source(mirror="", commit=""),
        repo=repo,
        repo_id=f"test/{repo}",
        context=context,
        priority=priority,
    )


class Server:
    """A real nats-server that can be killed and started again on the same port and store."""

    def __init__(self, root: Path) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._config = root / "nats.conf"
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nmax_payload: 8MB\n'
            f'jetstream {{\n  store_dir: "{root / "js"}"\n  sync_interval: always\n}}\n'
        )
        self._process = None

    def start(self) -> None:
        binary = Path(sys.executable).parent / "nats-server"
        self._process = subprocess.Popen(
            [str(binary), "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class World:
    """One bus, any number of agents."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.server = Server(root)
        self.data = root / "runner"
        self._agents: list[subprocess.Popen] = []
        self._logs = []

    async def start(self) -> None:
        self.server.start()
        self.client = await until(self._connect, "a connection")
        for stream in STREAMS:
            body = {"storage": "file", "allow_direct": True, **stream}
            answer = await self.client.request(
                f"$JS.API.STREAM.CREATE.{stream['name']}",
                json.dumps(body).encode(),
                timeout=PATIENCE_S,
            )
            assert "error" not in json.loads(answer.data), answer.data

    async def _connect(self):
        async def quiet(*_):
            pass

        with contextlib.suppress(Exception):
            return await nats.connect(
                self.server.url,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.1,
                error_cb=quiet,
                disconnected_cb=quiet,
                reconnected_cb=quiet,
            )

    async def stop(self) -> None:
        for agent in self._agents:
            if agent.poll() is None:
                agent.kill()
                agent.wait()
        for log in self._logs:
            log.close()
        await self.client.close()
        self.server.kill()
        # A shim whose directory is gone ends its job and itself.
        shutil.rmtree(self.root, ignore_errors=True)

    def agent(self, *, data: Path | None = None, slots: int = 2, more=(), env=None):
        """Start a real agent process."""
        log = (self.root / f"agent-{len(self._agents)}.log").open("wb")
        self._logs.append(log)
        words = ["--nats", self.server.url, "--data", str(data or self.data)]
        process = subprocess.Popen(
            [sys.executable, "-m", "runners", "agent", *words, "--slots", str(slots), *more],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env={**os.environ, **(env or {})},
        )
        self._agents.append(process)
        return process

    def agent_log(self) -> str:
        return "".join(path.read_text() for path in sorted(self.root.glob("agent-*.log")))

    async def publish(self, subject: str, body, headers=None) -> int:
        async def attempt():
            with contextlib.suppress(nats.errors.Error):
                return await self.client.request(
                    subject, msgspec.json.encode(body), timeout=ANSWER_S, headers=headers
                )

        answer = json.loads((await until(attempt, f"an answer on {subject}")).data)
        assert "error" not in answer, answer
        return answer["seq"]

    async def ask(self, subject: str, body: dict) -> dict:
        """A question to JetStream itself."""
        content = json.dumps(body).encode()
        answer = json.loads(
            (await self.client.request(f"$JS.API.{subject}", content, timeout=PATIENCE_S)).data
        )
        assert "error" not in answer, answer
        return answer

    async def submit(self, spec: JobSpec) -> None:
        await self.publish(queue_of("default", spec.priority), spec, {"Nats-Msg-Id": spec.id})

    async def cancel(self, spec: JobSpec, reason: str = "enough") -> None:
        await self.publish(f"cancel.{spec.id}", CancelJob(job=spec.id, reason=reason))

    async def messages(self, stream: str, subject: str) -> list[bytes]:
        """Every stored message of a subject, in order."""
        found, sequence = [], 1
        while True:
            body = json.dumps({"seq": sequence, "next_by_subj": subject}).encode()
            try:
                answer = await self.client.request(
                    f"$JS.API.DIRECT.GET.{stream}", body, timeout=ANSWER_S
                )
            except (nats.errors.Error, TimeoutError):
                await asyncio.sleep(0.1)
                continue
            if (answer.headers or {}).get("Status"):
                return found
            found.append(answer.data)
            sequence = int(answer.headers["Nats-Sequence"]) + 1

    async def reports(self, spec: JobSpec) -> list[JobFinished]:
        found = await self.messages("RUNS_0", f"run.0.{spec.run}.in")
        all_reports = [msgspec.json.decode(data, type=JobFinished) for data in found]
        return [report for report in all_reports if report.job == spec.id]

    async def report(self, spec: JobSpec, timeout_s: float = PATIENCE_S) -> JobFinished:
        reports = await until(lambda: self.reports(spec), f"the report of {spec.id}", timeout_s)
        return reports[0]

    async def chunks(self, spec: JobSpec, service: str = "") -> list[LogChunk]:
        log = log_of_service(spec.id, service) if service else spec.id
        found = await self.messages("LOGS", f"log.{log}")
        return [msgspec.json.decode(data, type=LogChunk) for data in found]

    async def log(self, spec: JobSpec, service: str = "") -> str:
        """The whole stored log; that the chunks join without gap or overlap is asserted here."""
        offset, text = 0, []
        for chunk in await self.chunks(spec, service):
            assert chunk.offset == offset
            offset += chunk.size
            text.append(chunk.text)
        return "".join(text)

    async def queued(self) -> int:
        answer = await self.client.request("$JS.API.STREAM.INFO.JOBS", b"", timeout=PATIENCE_S)
        return json.loads(answer.data)["state"]["messages"]

    async def settled(self) -> None:
        async def empty():
            return await self.queued() == 0

        await until(empty, "an empty queue")

    def job_directory(self, spec: JobSpec) -> Path:
        return self.data / "jobs" / spec.id


def make_root() -> Path:
    return Path(tempfile.mkdtemp(prefix="staunch-runner-"))


@contextlib.asynccontextmanager
async def world():
    """A started World."""
    made = World(make_root())
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def doctor(root: Path, data: Path) -> str:
    """What `runners doctor --json` says."""
    words = [sys.executable, "-m", "runners", "doctor", "--json", "--data", str(data)]
    return subprocess.run(words, cwd=root, check=True, capture_output=True, text=True).stdout


def pids_with(marker: str) -> list[int]:
    """Every process of the machine whose command line holds the marker."""
    found = []
    # By number, not by pattern: a pattern looks at each file, and trips over one that is going.
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if marker.encode() in Path("/proc", pid, "cmdline").read_bytes():
                found.append(int(pid))
    return [pid for pid in found if pid != os.getpid()]


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
