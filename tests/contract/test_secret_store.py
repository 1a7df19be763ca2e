"""Every store of secrets keeps the same promises."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ci_host.adapters.memory.secrets import MemorySecrets
from ci_host.adapters.nats.secrets import NatsSecrets
from ci_host.envelopes import Key, KeyRing, StoredSecret, seal
from ci_host.ports import Conflict
from ci_host.secret_ports import SecretStore
from pipelines.ids import JobId
from pipelines.secret import NamedScope, Scope
from tests.servers import bus_of, nats_server

pytestmark = pytest.mark.anyio

RING = KeyRing(keys=[Key(id="k", key=bytes(32))])
WIDE = NamedScope(name="KEY", scope=Scope(org="c/acme"))
NARROW = NamedScope(name="KEY", scope=Scope(org="c/acme", environment="production"))


def sealed(named: NamedScope, version: int = 1) -> StoredSecret:
    return seal(RING, named, "a value", version=version, at=1.5, by="ada")


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SecretStore]:
    if request.param == "memory":
        yield MemorySecrets()
        return
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            yield NatsSecrets(bus)


async def test_what_was_written_is_found_by_name_and_scope(store: SecretStore) -> None:
    wide, narrow = sealed(WIDE), sealed(NARROW)
    await store.write(wide, after=0)
    await store.write(narrow, after=0)
    for secret in (wide, narrow):
        kept = await store.find(secret.named)
        assert kept is not None
        assert kept.secret == secret
    assert {one.secret.scope for one in await store.all()} == {WIDE.scope, NARROW.scope}


async def test_whoever_read_an_older_one_does_not_write(store: SecretStore) -> None:
    await store.write(sealed(WIDE), after=0)
    with pytest.raises(Conflict):
        await store.write(sealed(WIDE, 2), after=0)
    kept = await store.find(WIDE)
    assert kept is not None
    await store.write(sealed(WIDE, 2), after=kept.revision)
    with pytest.raises(Conflict):
        await store.write(sealed(WIDE, 3), after=kept.revision)


async def test_what_was_removed_is_gone_and_can_be_set_anew(store: SecretStore) -> None:
    await store.remove(WIDE)
    await store.write(sealed(WIDE), after=0)
    await store.remove(WIDE)
    assert await store.find(WIDE) is None
    assert await store.all() == []
    await store.write(sealed(WIDE), after=0)


async def test_nobody_holds_a_job_that_was_not_claimed(store: SecretStore) -> None:
    assert await store.holder(JobId("0-0123456789abcdef0123.0123456789abcdef.1")) is None


@pytest.mark.nats
@pytest.mark.slow
async def test_a_secret_that_was_removed_stays_away_when_the_server_is_killed(
    tmp_path: Path,
) -> None:
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            store = NatsSecrets(bus)
            await store.write(sealed(WIDE), after=0)
            kept = await store.find(WIDE)
            assert kept is not None
            await store.write(sealed(WIDE, 2), after=kept.revision)
            await store.write(sealed(NARROW), after=0)
            await store.remove(WIDE)
            server.kill()
    with nats_server(tmp_path) as server:
        async with bus_of(server) as bus:
            store = NatsSecrets(bus)
            assert [one.secret.named for one in await store.all()] == [NARROW]
            await store.write(sealed(WIDE, 3), after=0)
            kept = await store.find(WIDE)
            assert kept is not None
            assert kept.secret.version == 3
