"""An engine is killed before each message by which it begins what its installation was made for."""

import os
import time
from pathlib import Path

import pytest

from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.history import NatsHistory
from ci_host.adapters.nats.stores import NatsCatalog
from ci_host.cli.options import default_cache
from ci_host.opening import Opening, give
from ci_host.ports import StoredHistory
from pipelines.event import Event, EventKind
from pipelines.events import RunStarted
from pipelines.repo import Connection, ForgeKind
from pipelines.repo import Repo as Registered
from tests.chaos.doomed_engine import DoomedEngine
from tests.chaos.waiting import until
from tests.repos import Repo
from tests.servers import SHARDS, bus_of, nats_server
from webhooks.manual import ManualStart, manual_delivery, start_id

pytestmark = [pytest.mark.anyio, pytest.mark.nats, pytest.mark.sandbox, pytest.mark.slow]

INTAKE = 0
PLAN = "async def run(event, step):\n    return 42\n"
NEVER = 1_000_000
# An opening asks for a connection, and writes that, a repository and a delivery. So many messages
# before its file is gone are looked at, and some behind it.
BEFORE, BEHIND = 8, 4


class Begun:
    """Openings of one repository, each with a connection and a start of its own."""

    def __init__(self, folder: Path, engine: DoomedEngine, bus: Bus, path: Path) -> None:
        self.engine, self.path = engine, path
        self._bus, self._history = bus, NatsHistory(bus, "by hand")
        self._repo = Repo(folder)
        self._commit = self._repo.commit({".staunch/pipeline.py": PLAN})
        self._repo.push()

    def give(self, number: int) -> Opening:
        """The opening with this number, as a command gives it."""
        connection = Connection(id=f"local-{number}", kind=ForgeKind.GIT)
        bare = str(self._repo.bare)
        repo = Registered(
            id=f"{connection.id}/{bare}",
            connection=connection.id,
            external_id=bare,
            name="app",
            clone_url=bare,
        )
        event = Event(
            kind=EventKind.MANUAL, ref="refs/heads/main", commit=self._commit, sender="ada"
        )
        asked = ManualStart(external_id=bare, name="app", event=event, pipeline="pipeline")
        delivery = manual_delivery(connection, asked, start_id(bare, f"{number}"), time.time())
        opening = Opening(connection=connection, repo=repo, delivery=delivery)
        give(self.path, opening)
        return opening

    async def over(self, opening: Opening) -> list[StoredHistory]:
        """Its Runs, once one is over and nothing is owed, over any number of lives."""

        async def look() -> list[StoredHistory]:
            if self.engine.is_dead:
                self.engine.start()
            runs = await self._runs(opening)
            ends = [run.turns[-1].turn.end for run in runs if run.turns]
            is_done = any(ends) and not self.path.exists() and await self._is_quiet()
            return runs if is_done else []

        return await until("the run of an opening", look, every_s=0.02)

    async def is_kept(self, opening: Opening) -> bool:
        """Whether the host knows what it is of."""
        catalog = NatsCatalog(self._bus)
        repo = await catalog.repo(opening.repo.id)
        return repo == opening.repo and bool(await catalog.connection(opening.connection.id))

    async def _runs(self, opening: Opening) -> list[StoredHistory]:
        found = []
        for shard in range(SHARDS):
            read = await self._bus.read(subjects.runs_stream(shard), f"run.{shard}.*.in")
            for run in sorted({subjects.run_of(one.subject) for one in read}):
                stored = await self._history.read(run)
                first = stored.inputs[0].input
                assert isinstance(first, RunStarted)
                if first.connection == opening.connection.id:
                    found.append(stored)
        return found

    async def _is_quiet(self) -> bool:
        """Whether no delivery waits, or is at work."""
        for lane in range(subjects.INTAKE_LANES):
            info = await self._bus.js.consumer_info(subjects.intake_stream(lane), "trigger")
            if info.num_pending or info.num_ack_pending:
                return False
        return True


@pytest.fixture
async def begun(tmp_path: Path, wasm_image):
    with nats_server(tmp_path / "nats") as server:
        async with bus_of(server):
            bus = await connect(server.url, name="by hand")
            data, path = tmp_path / "engine", tmp_path / "opening"
            data.mkdir()
            cache = Path(os.environ.get("STAUNCH_CACHE_DIR", default_cache()))
            shards = list(range(SHARDS))
            engine = DoomedEngine(data, cache, server.url, shards, INTAKE, path)
            try:
                yield Begun(tmp_path, engine, bus, path)
            finally:
                engine.kill()
                await bus.close()


def check(runs: list[StoredHistory]) -> None:
    """There is one, begun once, and it came to its end."""
    (run,) = runs
    assert [type(one.input) for one in run.inputs].count(RunStarted) == 1
    end = run.turns[-1].turn.end
    assert end is not None and end.output == 42


async def sent_until_done(begun: Begun) -> int:
    """How many messages an engine has sent when its opening is done; a few more, perhaps."""
    opening = begun.give(0)
    begun.engine.fuse.light(NEVER)
    begun.engine.start()

    async def is_done() -> bool:
        return not begun.path.exists()

    await until("an opening to be done", is_done, every_s=0.001)
    sent = NEVER - begun.engine.fuse.put_out()
    check(await begun.over(opening))
    return sent


async def test_a_death_before_any_message_of_an_opening_begins_its_run_once(begun: Begun) -> None:
    sent = await sent_until_done(begun)
    deaths = 0
    for number in range(max(1, sent - BEFORE), sent + BEHIND):
        begun.engine.kill()
        opening = begun.give(number)
        begun.engine.fuse.light(number)
        begun.engine.start()
        runs = await begun.over(opening)
        deaths += begun.engine.fuse.put_out() == 0
        check(runs)
        assert await begun.is_kept(opening)
    assert deaths > BEFORE


async def test_an_opening_that_was_done_and_is_still_there_begins_nothing_more(
    begun: Begun,
) -> None:
    opening = begun.give(1)
    check(await begun.over(opening))
    begun.engine.kill()
    # As if it had died between its last message and the end of the file.
    give(begun.path, opening)
    check(await begun.over(opening))
