"""Statuses in the order of their outbox to Forges that are away, break, refuse, or have limits."""

from collections.abc import Iterator
from itertools import groupby

import httpx2
import msgspec
import pytest
from structlog.testing import capture_logs

from ci_host.adapters.memory.statuses import MemoryUntoldStatuses
from ci_host.engine.status_delivery import (
    BROKEN_RETRY_S,
    RETELL_FOR_S,
    TRIES_MAX,
    WAITED_S,
    StatusRetelling,
)
from ci_host.status_ports import Untold
from pipelines.repo import ForgeKind
from pipelines.status import Status, StatusState
from tests.contract.status_queue import HourQueue, connection, events, status, told_by
from tests.contract.strict_gitlab import StrictGitLab
from webhooks.forge import Refused, SendLater, Sent
from webhooks.memory import MemoryConnections
from webhooks.reporter import BACKOFF_S_MAX, StatusSender

pytestmark = pytest.mark.anyio

HOUR_S = 3_600.0


@pytest.fixture
def said() -> Iterator[list[dict[str, object]]]:
    """What is logged."""
    with capture_logs() as lines:
        yield lines


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
    statuses = [*each_state(A), *each_state(B, first=2), *each_state(A, "other", first=4)]
    queue = HourQueue(statuses)
    queue.now = statuses[-1].at + WAITED_S
    await told_by(queue, forge)
    assert forge.told == ["number 1", "number 3", "number 5"]


async def test_what_has_just_been_said_is_told_though_something_newer_was_said():
    forge, queue = BreakingForge(), HourQueue(each_state(A))
    queue.now = WAITED_S
    await told_by(queue, forge)
    # The first is half a minute old, the second a second younger.
    assert forge.told == ["number 1"]
    queue = HourQueue(each_state(A))
    await told_by(queue, forge)
    assert forge.told == ["number 1", "number 0", "number 1"]


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


async def test_what_is_told_again_in_vain_holds_up_no_other():
    forge, untold = BreakingForge(breaks_on=A), MemoryUntoldStatuses()
    queue = HourQueue([status(n, commit=A) for n in range(3)])
    await told_by(queue, forge, untold)
    again = StatusRetelling(queue, untold, lambda: queue.now)
    assert await again.again_what_may_pass() == 3
    # Another host does the same in the same round.
    assert await StatusRetelling(queue, untold, lambda: queue.now).again_what_may_pass() == 3
    assert len(queue.left) == 3
    began = queue.now
    await queue.put(status(9, commit=B))
    await told_by(queue, forge, untold)
    assert forge.told == ["number 9"] and queue.now == began
    assert len(await untold.all()) == 3


async def test_what_is_told_again_is_told_whole():
    forge, untold = BreakingForge(refuses=A), MemoryUntoldStatuses()
    whole = status(0, commit=A, summary="much", annotations=[])
    queue = HourQueue([whole])
    await told_by(queue, forge, untold)
    (kept,) = await untold.all()
    assert kept.status.summary == ""
    await StatusRetelling(queue, untold, lambda: queue.now).again(["tea"])
    assert [one.summary for one in queue.left] == ["much"]


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
