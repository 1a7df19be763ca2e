"""Every store of trust keeps the same promises."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from ci_host.adapters.memory.trust import MemoryTrust
from ci_host.adapters.nats.trust import NatsTrust
from ci_host.trust_ports import Held, TrustStore
from pipelines.event import Event, EventKind, PullRequest
from pipelines.trust import Admission, Approval, Tier, TrustPolicy, Verdict
from tests.servers import bus_of, nats_server

pytestmark = pytest.mark.anyio

ONE, TWO = "1" * 40, "2" * 40
PULL = PullRequest(number=7, action="opened", base_ref="main", head_ref="x")
HELD = Held(
    repo="hub/1",
    name="acme/shop",
    number=7,
    commit=ONE,
    event=Event(kind=EventKind.PULL_REQUEST, commit=ONE, pull_request=PULL),
    verdict=Verdict(tier=Tier.UNTRUSTED, admission=Admission.APPROVAL, why="it is new"),
    at=5.0,
)
APPROVAL = Approval(repo="hub/1", number=7, commit=ONE, by="ada", at=6.0)


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TrustStore]:
    if request.param == "memory":
        yield MemoryTrust()
        return
    async with AsyncExitStack() as stack:
        server = stack.enter_context(nats_server(tmp_path))
        yield NatsTrust(await stack.enter_async_context(bus_of(server)))


async def test_of_each_scope_the_newest_policy_is_found(store: TrustStore) -> None:
    assert list(await store.policies()) == []
    wide, narrow = TrustPolicy(), TrustPolicy(scope="hub:a.b c>*", members=Admission.OWN)
    for policy in (wide, narrow, msgspec.structs.replace(wide, removed=True)):
        await store.put_policy(policy)
    found = {one.scope: one for one in await store.policies()}
    assert found == {"": msgspec.structs.replace(wide, removed=True), narrow.scope: narrow}


async def test_of_a_pull_request_the_newest_commit_is_held_and_others_are_apart(
    store: TrustStore,
) -> None:
    assert await store.held("hub/1", 7) is None
    await store.hold(HELD)
    other = msgspec.structs.replace(HELD, number=8)
    elsewhere = msgspec.structs.replace(HELD, repo="hub/1.7")
    newer = msgspec.structs.replace(HELD, commit=TWO)
    for held in (other, elsewhere, newer):
        await store.hold(held)
    assert await store.held("hub/1", 7) == newer
    assert await store.held("hub/1", 8) == other
    assert list(await store.all_held()) == [other, elsewhere, newer]


async def test_the_first_approval_of_a_commit_stands_and_is_of_that_commit_alone(
    store: TrustStore,
) -> None:
    assert await store.approval("hub/1", 7, ONE) is None
    assert await store.approve(APPROVAL) == APPROVAL
    later = msgspec.structs.replace(APPROVAL, by="grace")
    assert await store.approve(later) == APPROVAL
    assert await store.approval("hub/1", 7, ONE) == APPROVAL
    assert await store.approval("hub/1", 7, TWO) is None
    assert await store.approval("hub/1", 8, ONE) is None
    assert await store.approval("hub/2", 7, ONE) is None
    assert list(await store.all_approvals()) == [APPROVAL]
