"""The real engine process is killed before each message that it sends; what is due begins once."""

import os
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import msgspec
import pytest

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.stores import NatsCatalog, NatsInbox
from ci_host.adapters.nats.timetables import NatsTimetables
from ci_host.cli.options import default_cache
from ci_host.ports import Conflict
from pipelines.events import RunStarted
from pipelines.ids import RunId
from pipelines.repo import Connection, Delivery, ForgeKind, Repo
from pipelines.run import FINAL
from pipelines.schedule import Alarm
from tests.chaos.doomed_engine import DoomedEngine
from tests.chaos.waiting import until
from tests.servers import SHARDS, bus_of, nats_server

pytestmark = [pytest.mark.anyio, pytest.mark.nats, pytest.mark.sandbox, pytest.mark.slow]

DEATHS_MAX = 300
TIMEOUT_S = 90
LANES = [subjects.intake_stream(lane) for lane in range(subjects.INTAKE_LANES)]
CONSUMERS = [("ALARMS", "scheduler"), *((lane, "trigger") for lane in LANES)]
PIPELINE = """from staunch import on

on.schedule("{minute} {hour} {day} {month} *", name="once")


async def run(event, step):
    return event.schedule.due
"""


@dataclass
class Place:
    """A bus with repositories of one content, whose schedule was last due at `due`."""

    bus: Bus
    engine: DoomedEngine
    commit: str
    due: float

    async def push(self, number: int) -> str:
        """A push to the repository of this number is delivered; answers the Repo's id."""
        change = {"old": "0" * 40, "new": self.commit, "ref": "refs/heads/main"}
        body = {"repo": str(number), "name": f"me/{number}", "changes": [change]}
        await NatsInbox(self.bus).record(
            Delivery(
                connection="git",
                id=f"push-{number}",
                kind=ForgeKind.GIT,
                event="push",
                received_at=time.time(),
                body=msgspec.json.encode(body).decode(),
            )
        )
        return f"git/{number}"

    async def fall_due(self, repo: str) -> bool:
        """As if the last due time had not come when the schedule was registered."""
        store = NatsTimetables(self.bus)
        revision, table = await store.read(repo)
        if not table.entries:
            return False
        entry = msgspec.structs.replace(table.entries[0], after=self.due - 1, next=self.due)
        try:
            await store.write(table.with_entry(entry), after=revision)
        except Conflict:
            return False
        await store.arm(repo, self.due)
        return True

    async def is_settled(self, repo: str) -> bool:
        """Nothing is owed any more, and the Run has ended."""
        for stream, name in CONSUMERS:
            consumer = await self.bus.js.consumer_info(stream, name)
            if consumer.num_pending or consumer.num_ack_pending:
                return False
        _, table = await NatsTimetables(self.bus).read(repo)
        run = RunId(table.entries[0].last_run)
        last = await NatsHistory(self.bus, "test").last_turn(run) if run else None
        return last is not None and last.turn.state in FINAL

    async def runs(self, repo: str) -> list[RunStarted]:
        """How every Run of the repository began; one that began twice is there twice."""
        found = []
        for shard in range(SHARDS):
            stored = await self.bus.read(subjects.runs_stream(shard), f"run.{shard}.*.in")
            bodies = [msgspec.json.decode(one.body) for one in stored]
            begun = [body for body in bodies if body["type"] == "run_started"]
            found += [msgspec.convert(b, RunStarted) for b in begun if b["repo"] == repo]
        return found

    async def armed(self, repo: str) -> float | None:
        """When its alarm rings."""
        stored = await self.bus.last(subjects.ALARMS, subjects.alarm(repo))
        return None if stored is None else msgspec.json.decode(stored.body, type=Alarm).due


def made(folder: Path, due: float) -> tuple[Path, str]:
    """A bare repository, and its only commit."""
    bare, work = folder / "app.git", folder / "app"
    at = datetime.fromtimestamp(due, UTC)
    (work / ".staunch").mkdir(parents=True)
    text = PIPELINE.format(minute=at.minute, hour=at.hour, day=at.day, month=at.month)
    (work / ".staunch" / "pipeline.py").write_text(text)
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for command in (
        ("init", "-q", "-b", "main", str(work)),
        ("-C", str(work), "add", "-A"),
        ("-C", str(work), *who, "commit", "-q", "-m", "a schedule"),
        ("clone", "-q", "--bare", str(work), str(bare)),
    ):
        subprocess.run(["git", *command], check=True, timeout=60)
    head = ["git", "-C", str(bare), "rev-parse", "HEAD"]
    return bare, subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
async def place(tmp_path: Path, wasm_image):
    due = time.time() // 60 * 60
    bare, commit = made(tmp_path, due)
    with nats_server(tmp_path / "bus") as server:
        async with bus_of(server):
            bus = await connect(server.url, name="test")
            catalog = NatsCatalog(bus)
            await catalog.put_connection(Connection(id="git", kind=ForgeKind.GIT, secrets=["s"]))
            for number in range(DEATHS_MAX):
                await catalog.put_repo(
                    Repo(
                        id=f"git/{number}",
                        connection="git",
                        external_id=str(number),
                        name=f"me/{number}",
                        clone_url=str(bare),
                    )
                )
            data = tmp_path / "engine"
            data.mkdir()
            cache = Path(os.environ.get("STAUNCH_CACHE_DIR", default_cache()))
            engine = DoomedEngine(data, cache, server.url, list(range(SHARDS)), index=0)
            engine.start()
            try:
                yield Place(bus, engine, commit, due)
            finally:
                engine.kill()
                await bus.close()


async def played(place: Place, number: int) -> str:
    """A push, and a due time, over any number of lives of the engine; answers the Repo's id."""
    repo = await place.push(number)
    is_due = False

    async def over() -> bool:
        nonlocal is_due
        if place.engine.is_dead:
            place.engine.start()
        is_due = is_due or await place.fall_due(repo)
        return is_due and await place.is_settled(repo)

    await until(f"the run of {repo}, dead at message {number}", over, TIMEOUT_S, every_s=0.02)
    return repo


async def test_a_death_before_any_message_begins_each_due_time_once(place: Place) -> None:
    next_due = await place.armed(await played(place, 0))
    assert next_due is not None and next_due > place.due
    for number in count(1):
        place.engine.fuse.light(number)
        repo = await played(place, number)
        left = place.engine.fuse.put_out()
        (begun,) = await place.runs(repo)
        assert begun.event.schedule is not None
        assert (begun.event.schedule.due, begun.event.commit) == (place.due, place.commit), number
        assert await place.armed(repo) == next_due, f"no alarm after a death at {number}"
        if left:
            break
    print(f"{number - 1} deaths")
    assert number > 20
