"""Statuses from the outbox of a real server to a Forge that is down, ill, or says no."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import httpx2
import msgspec
import pytest
from structlog.testing import capture_logs

from ci_host.adapters.memory.statuses import MemoryUntoldStatuses
from ci_host.adapters.nats import subjects
from ci_host.adapters.nats.bus import Bus
from ci_host.adapters.nats.consumer import Consumer
from ci_host.adapters.nats.directory import Directory
from ci_host.adapters.nats.server import EmbeddedServer
from ci_host.adapters.nats.statuses import NatsStatusOutbox, NatsUntoldStatuses
from ci_host.adapters.nats.stores import NatsCatalog
from ci_host.bootstrap.serving import deliver_statuses, forge_rule
from ci_host.engine.status_delivery import (
    BROKEN_RETRY_S,
    RETELL_FOR_S,
    TRIES_MAX,
    StatusDelivery,
    StatusRetelling,
)
from ci_host.status_ports import Untold
from pipelines.repo import Connection, ForgeKind
from pipelines.status import Status, StatusState
from tests.contract.ill_forge import Heard, IllForge
from tests.contract.strict_gitlab import StrictGitLab
from tests.engine.world import until
from tests.servers import bus_of, nats_server
from webhooks.forge import Refused, SendLater, Sent
from webhooks.memory import MemoryConnections
from webhooks.reporter import BACKOFF_S_MAX, StatusSender
from webhooks.status_api import RETRY_AFTER_S_MAX

pytestmark = pytest.mark.anyio
nats = pytest.mark.nats

HOUR_S = 3_600.0
DAY_S = 86_400.0
OPEN = "waterways/lock"


@pytest.fixture
def forge() -> Iterator[IllForge]:
    with IllForge() as forge:
        yield forge


@pytest.fixture
def said() -> Iterator[list[dict[str, object]]]:
    """What is logged: what an operator can read in the host's log."""
    with capture_logs() as lines:
        yield lines


@pytest.fixture
async def server(tmp_path: Path, forge: IllForge) -> AsyncIterator[EmbeddedServer]:
    """A bus on which the Forge is known as `tea`."""
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            await NatsCatalog(bus).put_connection(connection(forge.url))
        yield server


def connection(url: str, **changes) -> Connection:
    facts = {"id": "tea", "kind": ForgeKind.GITEA, "api_url": url, "token": "t0ken"}
    return Connection(**{**facts, **changes})


def status(number: int, **changes) -> Status:
    """One of a sequence: two commits, two contexts on each, and the states of each in turn."""
    facts = {
        "id": f"s-{number}",
        "connection": "tea",
        "repo": "1",
        "repo_name": OPEN,
        "commit": "ab"[number % 2] * 40,
        "context": ("staunch/build", "staunch/build/gate")[number // 2 % 2],
        "state": list(StatusState)[number // 4 % 4],
        "description": f"number {number}",
        "target_url": "https://ci.example/runs/1",
        "at": float(number),
        # Each of a place of its own, of which it is the newest.
        "run": f"run-{number}",
    }
    return Status(**{**facts, **changes})


def heard(status: Status) -> Heard:
    """The Status as the Forge writes it down."""
    return Heard(
        status.repo_name, status.commit, status.context, str(status.state), status.description
    )


async def put(server: EmbeddedServer, *statuses: Status) -> None:
    async with bus_of(server, streams=False) as bus:
        for one in statuses:
            await NatsStatusOutbox(bus).put(one)


@asynccontextmanager
async def life(server: EmbeddedServer) -> AsyncIterator[Bus]:
    """One life of that part of the host that tells statuses; killed at the end, not asked."""
    async with bus_of(server, streams=False) as bus:
        directory = Directory(bus)
        await directory.start()
        task = asyncio.create_task(deliver_statuses(bus, directory))
        try:
            yield bus
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await directory.stop()


def events(said: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    return [line for line in said if line["event"] == name]


@nats
async def test_after_an_outage_of_any_kind_every_status_arrives_once_and_in_order(
    server, forge, said
):
    statuses = [status(n) for n in range(16)]
    await put(server, *statuses)
    forge.answer(500, 201, 502, 201, 503, 201, 429, 201, retry_after_s=1)
    async with life(server):
        # Connections are refused: nobody listens on that port yet.
        await until(lambda: events(said, "status_later"))
        forge.listen()
        await until(lambda: len(forge.told) == len(statuses))
    assert forge.told == [heard(one) for one in statuses]
    assert [call.code for call in forge.calls][:8] == [500, 201, 502, 201, 503, 201, 429, 201]
    # The Forge asked for a second, and got it.
    limited, again = forge.calls[6:8]
    assert again.at - limited.at >= 1.0
    later = events(said, "status_later")
    assert "ConnectError" in str(later[0]["reason"])
    assert {line["attempt"] for line in later[:2]} == {1, 2}
    for code in (500, 502, 503, 429):
        assert any(f"answered {code}" in str(line["reason"]) for line in later)


@nats
async def test_a_refusal_is_shown_with_its_place_and_holds_up_nobody(server, forge, said):
    statuses, codes = [], {"org/moved": 301, "org/shut": 401, "org/gone": 404, "org/odd": 422}
    for number, repo in enumerate([*codes, *codes]):
        statuses += [status(2 * number, repo_name=repo), status(2 * number + 1)]
    forge.refuses.update(codes)
    forge.listen()
    await put(server, *statuses)
    async with life(server):
        await until(lambda: len(forge.calls) == len(statuses))
        await until(lambda: len(events(said, "status_refused")) == 2 * len(codes))
    assert forge.told == [heard(one) for one in statuses if one.repo_name == OPEN]
    for line in events(said, "status_refused"):
        assert line["log_level"] == "error"
        assert f"answered {codes[str(line['repo'])]}" in str(line["reason"])
        assert {"connection", "commit", "context", "state", "run"} < set(line)


@nats
async def test_a_connection_that_cannot_work_is_no_trouble_to_the_others(server, forge, said):
    async with bus_of(server, streams=False) as bus:
        for wrong in ({"id": "port", "api_url": "http://127.0.0.1:99999"},
                      {"id": "token", "token": "t€ken"}):  # fmt: skip
            await NatsCatalog(bus).put_connection(connection(forge.url, **wrong))
    forge.listen()
    bad = [status(n, connection=name) for n, name in enumerate(["port", "token"])]
    good = [status(n) for n in range(2, 6)]
    await put(server, *bad, *good)
    async with life(server):
        await until(lambda: len(events(said, "status_refused")) == 2)
        await until(lambda: len(forge.told) == len(good))
    assert forge.told == [heard(one) for one in good]
    assert not any("t€ken" in str(line) for line in said)


@nats
async def test_a_host_killed_while_the_forge_is_away_loses_nothing(server, forge, said):
    statuses = [status(n) for n in range(8)]
    await put(server, *statuses[:4])
    async with life(server):
        await until(lambda: events(said, "status_later"))
    await put(server, *statuses[4:])
    forge.listen()
    async with life(server):
        await until(lambda: len(forge.told) == len(statuses))
    assert forge.told == [heard(one) for one in statuses]


@nats
async def test_a_host_killed_again_and_again_tells_all_in_order_and_only_the_last_one_twice(
    server, forge
):
    statuses = [status(n) for n in range(40)]
    await put(server, *statuses)
    forge.listen()
    kills = 0

    def is_all_told() -> bool:
        return len(set(forge.told)) == len(statuses)

    while not is_all_told():
        # The Forge writes it down, and the host dies before the answer comes.
        forge.hold_from(len(forge.calls) + 7)
        async with life(server):
            await until(lambda: forge.is_holding or is_all_told())
        forge.release()
        kills += 1
    assert kills > 3
    once = [one for one, _ in groupby(forge.told)]
    assert once == [heard(one) for one in statuses]
    assert len(forge.told) <= len(once) + kills


@nats
async def test_a_bus_that_is_killed_while_the_forge_is_away_loses_nothing(
    server, forge, said, tmp_path
):
    statuses = [status(n) for n in range(8)]
    await put(server, *statuses)
    port = int(server.url.rpartition(":")[2])
    async with life(server) as bus:
        await until(lambda: events(said, "status_later"))
        back = asyncio.Event()
        bus.on_reconnect(back.set)
        server.kill()
        with nats_server(tmp_path, port):
            await back.wait()
            forge.listen()
            await until(lambda: len(forge.told) == len(statuses))
            assert forge.told == [heard(one) for one in statuses]
            await bus.close()


@nats
async def test_no_rule_of_the_bus_gives_up_within_a_month(server, forge):
    async with life(server) as bus:
        rule = forge_rule("tea")
        found = await until(lambda: _config_of(bus, rule.name))
        assert found.max_deliver == -1 and found.max_ack_pending == 1
        # A backoff of the server's would bound the tries; a threshold would forget the place.
        assert not found.backoff and not found.inactive_threshold
        stream = (await bus.js.stream_info(subjects.STATUSES)).config
        assert stream.max_age >= 30 * DAY_S
        assert stream.max_msgs == stream.max_bytes == stream.max_msgs_per_subject == -1
    # No wait is longer than the outage that is meant: the forge is found back in good time.
    assert BACKOFF_S_MAX <= 60.0 and RETRY_AFTER_S_MAX <= HOUR_S


async def _config_of(bus: Bus, name: str):
    infos = await bus.js.consumers_info(subjects.STATUSES)
    return next((info.config for info in infos if info.name == name), None)


@nats
async def test_after_more_tries_than_an_hour_holds_the_first_is_still_the_first(server, forge):
    statuses = [status(n) for n in range(8)]
    await put(server, *statuses)
    rule = forge_rule("tea")
    # Also more than one wish of the reader's holds.
    tries = rule.batch + 10
    assert tries > 2 * HOUR_S / (BACKOFF_S_MAX / 2)
    async with bus_of(server, streams=False) as bus:
        consumer = Consumer(bus, rule)
        await consumer.ensure()
        async for got in consumer:
            assert msgspec.json.decode(got.body, type=Status) == statuses[0]
            if got.times > tries:
                break
            await consumer.later(got, 0.0)
    forge.listen()
    async with life(server):
        await until(lambda: len(forge.told) == len(statuses))
    assert forge.told == [heard(one) for one in statuses]


class HourQueue:
    """The outbox in order, one at a time, on a clock that `later` moves on."""

    def __init__(self, statuses: list[Status]) -> None:
        self.left = list(statuses)
        self.newest = {one.place: one.id for one in statuses}
        self.now = 0.0
        self.times = 0

    @property
    def item(self) -> Status:
        return self.left[0]

    async def done(self) -> None:
        self.left.pop(0)
        self.times = 0

    async def later(self, delay_s: float) -> None:
        self.now += delay_s

    async def newest_of(self, place: Status) -> str:
        """As the outbox of a real server: also of what was delivered."""
        return self.newest[place.place]

    async def put(self, status: Status) -> None:
        self.left.append(status)
        if not status.again_of:
            self.newest[status.place] = status.id

    async def __aiter__(self):
        while self.left:
            self.times += 1
            yield self


async def told_by(queue: HourQueue, sender, untold: MemoryUntoldStatuses | None = None) -> None:
    """All of the queue, until nothing is left of it."""
    kept = untold or MemoryUntoldStatuses()
    await StatusDelivery(queue, sender, queue, kept, lambda: queue.now).serve()


@pytest.mark.parametrize("dice", [0.0, 0.999999])
@pytest.mark.parametrize(
    "ill", [httpx2.ConnectError("refused"), 502, 429, (503, {"retry-after": "900"})], ids=str
)
async def test_a_forge_that_is_down_for_an_hour_gets_everything_when_it_is_back(ill, dice):
    queue, told = HourQueue([status(n) for n in range(16)]), []
    expected = [one.description for one in queue.left]

    def answer(request: httpx2.Request) -> httpx2.Response:
        if queue.now >= HOUR_S:
            told.append(msgspec.json.decode(request.content)["description"])
            return httpx2.Response(201)
        if isinstance(ill, Exception):
            raise ill
        code, headers = ill if isinstance(ill, tuple) else (ill, {})
        return httpx2.Response(code, headers=headers)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
        known = MemoryConnections(connection("https://tea.example"))
        sender = StatusSender(known, client, now=lambda: queue.now, dice=lambda: dice)
        await told_by(queue, sender)
    assert told == expected
    assert queue.now <= HOUR_S + max(BACKOFF_S_MAX, 900.0)


class BreakingForge:
    """It takes everything, but breaks on one commit, until `recovers`; refuses what is in
    `refuses`. `told`: what it took, in order."""

    def __init__(self, breaks_on: str = "", refuses: str = "") -> None:
        self.breaks_on, self.refuses = breaks_on, refuses
        self.told: list[str] = []

    async def send(self, status: Status, *, attempt: int = 1) -> Sent | SendLater | Refused:
        if status.commit == self.breaks_on:
            return SendLater("the forge answered 500", 1.0, broke=True)
        if status.commit == self.refuses:
            return Refused("the forge answered 401")
        self.told.append(status.description)
        return Sent()


A, B = "a" * 40, "b" * 40


def each_state(commit: str, run: str = "r", first: int = 0) -> list[Status]:
    """Pending and then success of one place."""
    states = [StatusState.PENDING, StatusState.SUCCESS]
    return [
        status(first + n, commit=commit, context="c", run=run, state=state)
        for n, state in enumerate(states)
    ]


async def test_of_what_waits_for_a_forge_the_newest_of_each_place_is_told():
    forge = BreakingForge()
    queue = HourQueue([*each_state(A), *each_state(B, first=2), *each_state(A, "other", first=4)])
    await told_by(queue, forge)
    assert forge.told == ["number 1", "number 3", "number 5"]


async def test_a_commit_on_which_the_forge_breaks_holds_up_no_other_for_long():
    forge, untold = BreakingForge(breaks_on=A), MemoryUntoldStatuses()
    queue = HourQueue([status(0, commit=A), status(1, commit=B)])
    await told_by(queue, forge, untold)
    assert forge.told == ["number 1"]
    assert queue.now == TRIES_MAX - 1
    (kept,) = await untold.all()
    assert (kept.status, kept.may_pass) == (status(0, commit=A), True)
    assert kept.reason == "the forge answered 500"


async def test_what_was_told_in_vain_is_told_again_when_that_may_help():
    forge, untold = BreakingForge(breaks_on=A, refuses=B), MemoryUntoldStatuses()
    queue = HourQueue([status(0, commit=A), status(1, commit=B)])
    await told_by(queue, forge, untold)
    again = StatusRetelling(queue, untold, lambda: queue.now)
    # Once more in vain: it is no younger for it.
    first = {one.status.id: one.since for one in await untold.all()}
    queue.now += 100.0
    assert await again.again_what_may_pass() == 1
    await told_by(queue, forge, untold)
    assert {one.status.id: one.since for one in await untold.all()} == first
    forge.breaks_on = forge.refuses = ""
    queue.now += 100.0
    assert await again.again_what_may_pass() == 1
    assert await again.again(["other"]) == 0
    assert await again.again(["tea"]) == 2
    await told_by(queue, forge, untold)
    assert sorted(forge.told) == ["number 0", "number 1"]
    assert not await untold.all()
    assert await again.again(["tea"]) == 0


async def test_what_a_forge_breaks_on_for_days_is_told_again_by_people_alone():
    forge, untold = BreakingForge(breaks_on=A), MemoryUntoldStatuses()
    queue = HourQueue([status(0, commit=A)])
    await told_by(queue, forge, untold)
    again = StatusRetelling(queue, untold, lambda: queue.now)
    queue.now += RETELL_FOR_S
    assert await again.again_what_may_pass() == 1
    queue.left.clear()
    queue.now += TRIES_MAX
    assert await again.again_what_may_pass() == 0
    assert await again.again(["tea"]) == 1


async def test_what_is_told_again_never_covers_what_was_told_since():
    forge, untold = BreakingForge(refuses=A), MemoryUntoldStatuses()
    pending, success = each_state(A)
    queue = HourQueue([pending])
    await told_by(queue, forge, untold)
    again = StatusRetelling(queue, untold, lambda: queue.now)
    forge.refuses = ""
    # The newer one before it in the outbox, and then behind it.
    await queue.put(success)
    await again.again(["tea"])
    await told_by(queue, forge, untold)
    assert forge.told == ["number 1"]
    await untold.keep(Untold(status=pending, reason="r", since=0.0))
    await again.again(["tea"])
    await queue.put(msgspec.structs.replace(success, id="newest"))
    await told_by(queue, forge, untold)
    assert forge.told == ["number 1", "number 1"]
    assert not await untold.all()


@nats
async def test_what_is_refused_is_listed_and_told_when_the_connection_has_another_token(
    server, forge, said
):
    forge.refuses[OPEN] = 401
    forge.listen()
    await put(server, status(0), status(1))
    async with life(server) as bus:
        untold = NatsUntoldStatuses(bus)
        await until(lambda: len(events(said, "status_refused")) == 2)
        kept = await untold.all()
        assert [one.status for one in kept] == [status(0), status(1)]
        assert all("set a new one" in one.reason and not one.may_pass for one in kept)
        del forge.refuses[OPEN]
        await NatsCatalog(bus).put_connection(connection(forge.url, token="another"))
        await until(lambda: len(forge.told) == 2)
        assert forge.told == [heard(status(0)), heard(status(1))]

        async def is_empty() -> bool:
            return not await untold.all()

        await until(is_empty)


@nats
async def test_an_older_staunchs_outbox_is_read_on_where_it_was(server, forge):
    """Its messages had no place in their subjects, and its consumer asked for no others."""
    forge.listen()
    rule = replace(forge_rule("tea"), subjects=("status.tea.*",))
    async with bus_of(server, streams=False) as bus:
        for number in range(4):
            body = msgspec.json.encode(status(number))
            await bus.put_once(f"status.tea.s-{number}", body)
        older = Consumer(bus, rule)
        await older.ensure()
        async for got in older:
            await older.done(got)
            if got.sequence >= 2:
                break
        await bus.client.flush()
        await NatsStatusOutbox(bus).put(status(4))
    async with life(server):
        await until(lambda: len(forge.told) == 3)
    assert forge.told == [heard(status(n)) for n in (2, 3, 4)]


async def told_to_gitlab(gitlab: StrictGitLab, *statuses: Status) -> HourQueue:
    """The queue afterwards, all of it told to that GitLab."""
    queue = HourQueue(list(statuses))
    lab = connection("https://lab.example", kind=ForgeKind.GITLAB)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(gitlab)) as client:
        known = MemoryConnections(lab)
        sender = StatusSender(known, client, now=lambda: queue.now, dice=lambda: 0.0)
        await told_by(queue, sender)
    return queue


async def test_gitlab_has_every_last_state_though_each_was_told_twice(said):
    gitlab = StrictGitLab("t0ken", {"62"})
    statuses = [
        status(4 * n, repo="tea/62", context="c", state=state, description="d" * 999)
        for n, state in enumerate(
            [StatusState.PENDING, StatusState.FAILURE, StatusState.PENDING, StatusState.SUCCESS]
        )
    ]
    await told_to_gitlab(gitlab, *[one for one in statuses for _ in range(2)])
    (states,) = gitlab.states.values()
    # Of a final state that is told again GitLab makes a new status; it says the same.
    assert [state for state, _ in groupby(states)] == ["pending", "failed", "pending", "success"]
    assert 400 in gitlab.codes
    assert not events(said, "status_refused")


async def test_gitlabs_limits_and_races_are_waited_for_and_its_refusals_let_go(said):
    gitlab = StrictGitLab("t0ken", {"62"})
    limited = httpx2.Response(429, headers={"retry-after": "90", "ratelimit-remaining": "0"})
    gitlab.answers = [limited, httpx2.Response(409), httpx2.Response(502)]
    queue = await told_to_gitlab(
        gitlab,
        status(0, repo="tea/62"),
        status(2, repo="tea/63"),
        status(4, repo="tea/62", state=StatusState.SUCCESS),
    )
    assert gitlab.codes == [429, 409, 502, 201, 404, 201]
    assert queue.left == [] and queue.now >= 90.0
    (refused,) = events(said, "status_refused")
    assert "404" in str(refused["reason"])


async def test_an_error_of_our_own_in_telling_is_shown_and_tried_again(said):
    class Broken:
        async def send(self, status: Status, *, attempt: int = 1) -> Sent:
            if attempt == 1:
                raise RuntimeError("a case that nobody thought of")
            return Sent()

    queue = HourQueue([status(0), status(1)])
    await told_by(queue, Broken())
    assert queue.left == [] and queue.now == 2 * BROKEN_RETRY_S
    assert [line["context"] for line in events(said, "status_broke")] == ["staunch/build"] * 2
