"""Engines that race for a concurrency group: who is slow does no harm to what has gone on since."""

import msgspec
import pytest

from ci_host.adapters.memory.history import MemoryHistory
from ci_host.adapters.memory.world import MemoryGroups
from ci_host.engine.groups import Concurrency
from pipelines.commands import OpenGroup
from pipelines.group import GroupPolicy
from pipelines.ids import RunId, run_id, successor_id
from pipelines.run import RunState
from pipelines.turn import Turn
from tests.tenants import started

pytestmark = pytest.mark.anyio

CONTINUED = Turn(
    number=1, consumed=[1], through=1, by="another", now=0.0, digest="", state=RunState.CONTINUED
)


async def test_a_successor_that_is_not_begun_yet_is_told_nothing_that_would_be_its_beginning():
    history, groups = MemoryHistory(), MemoryGroups()
    concurrency = Concurrency(groups, history)
    wish = OpenGroup(key="g", policy=GroupPolicy.CANCEL)
    one, two = started(), msgspec.structs.replace(started(), run=run_id("later"))
    run, successor = RunId(one.run), successor_id(RunId(one.run))
    for first in (one, two):
        await history.create(RunId(first.run), first)
    await concurrency.enter(one, wish)
    await history.append_turn(run, CONTINUED, after=0)
    # The engine that made this Turn has not begun the successor yet; two others are at work.
    await concurrency.enter(two, wish)
    await concurrency.enter(one, wish)
    assert (await history.read(successor)).inputs == []
    assert await history.create(successor, msgspec.structs.replace(one, run=successor))
    # Now it is, and is told that a later Run has ousted it.
    await concurrency.leave(one, wish, is_continued=True)
    told = [given.input for given in (await history.read(successor)).inputs]
    assert [type(value).__name__ for value in told] == ["RunStarted", "CancelRequested"]
    _, group = await groups.read(one.repo, "g")
    assert [member.run for member in group.members] == [successor, two.run]
