"""Which values a runner is told, and that no crash loses one."""

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ci_host.adapters.files.key_ring import KeyRingFile
from ci_host.envelopes import NoKeys, Unopenable, open_envelope
from pipelines.event import Event, EventKind
from pipelines.ids import StepKey, job_id
from pipelines.secret import SecretsAsked
from tests.engine.secret_world import FORK, JOB, REPO, RUN, VALUE, Killed, Life, World

pytestmark = pytest.mark.anyio


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("asked_at", [1, 2])
async def test_the_holder_of_an_open_attempt_is_told_sealed_to_its_key(
    world: World, asked_at: int
) -> None:
    await world.set()
    await world.begin(asked_at=asked_at)
    answer = await world.ask()
    assert world.opened(answer) == {"K": VALUE}
    assert VALUE.encode() not in answer.sealed


@pytest.mark.parametrize("state", ["cancelling", "gone"])
async def test_an_attempt_that_is_not_wanted_any_more_gets_nothing(
    world: World, state: str
) -> None:
    await world.set()
    await world.begin(state=state)
    assert "is not wanted by any run" in (await world.ask()).refused


async def test_who_does_not_hold_the_attempt_gets_nothing(world: World) -> None:
    await world.set()
    await world.begin()
    other = Ed25519PrivateKey.generate()
    public = world.fresh.public_key().public_bytes_raw()
    forged = other.sign(SecretsAsked.signed(JOB, "r1", public))
    assert "is not the runner that holds it" in (await world.ask(signature=forged)).refused
    swapped = X25519PrivateKey.generate().public_key().public_bytes_raw()
    assert "is not the runner that holds it" in (await world.ask(public_key=swapped)).refused
    assert "does not hold" in (await world.ask(runner="r2")).refused
    older = job_id(RUN, StepKey("deploy"), 2)
    assert "does not hold" in (await world.ask(job=older)).refused
    world.store.leases[JOB] = msgspec.structs.replace(world.lease, verifier=b"")
    assert "is not the runner that holds it" in (await world.ask()).refused


async def test_a_lease_of_one_attempt_opens_no_other(world: World) -> None:
    await world.set()
    await world.begin()
    later = job_id(RUN, StepKey("deploy"), 2)
    world.store.leases[later] = msgspec.structs.replace(world.lease, job=later)
    public = world.fresh.public_key().public_bytes_raw()
    signature = world.runner.sign(SecretsAsked.signed(later, "r1", public))
    assert "not wanted" in (await world.ask(job=later, signature=signature)).refused
    assert "is not the runner" in (await world.ask(signature=signature)).refused


@pytest.mark.parametrize("kind", [EventKind.PULL_REQUEST, EventKind.MANUAL])
async def test_the_changes_of_a_fork_get_nothing_however_the_run_was_begun(
    world: World, kind: EventKind
) -> None:
    await world.set()
    await world.begin(Event(kind=kind, commit="1" * 40, ref="refs/pull/1/head", pull_request=FORK))
    assert "no secret (KEY) is given to a job of a fork's changes" in (await world.ask()).refused


async def test_the_most_specific_secret_counts(world: World) -> None:
    scopes = [
        {"org": "gh/acme"},
        {"org": "gh/acme", "environment": "production"},
        {"repo": REPO.id},
        {"repo": REPO.id, "event": "push"},
        {"repo": REPO.id, "pool": "metal"},
        {"repo": REPO.id, "environment": "production"},
        {"repo": REPO.id, "environment": "production", "pool": "metal"},
    ]
    others = [{"repo": "gh/43"}, {"org": "gh/acm"}, {"repo": REPO.id, "environment": "staging"}]
    for scope in others:
        await world.set("not-for-this-job", **scope)
    await world.begin(environment="production", pool="metal")
    assert "KEY is not set for this job" in (await world.ask()).refused
    for number, scope in enumerate(scopes):
        await world.set(f"value-number-{number}", **scope)
        assert world.opened(await world.ask()) == {"K": f"value-number-{number}"}


async def test_an_envelope_in_the_place_of_another_does_not_open(world: World) -> None:
    await world.set()
    await world.set("another-value", repo="gh/43")
    one, other = (kept.secret for kept in await world.store.all())
    moved = msgspec.structs.replace(other, scope=one.scope)
    with pytest.raises(Unopenable, match="is not what was kept"):
        open_envelope(KeyRingFile(world.folder, {}).read(), moved)
    older = msgspec.structs.replace(one, version=2)
    with pytest.raises(Unopenable, match="is not what was kept"):
        open_envelope(KeyRingFile(world.folder, {}).read(), older)


async def test_a_host_without_the_key_says_so_and_what_to_do(world: World) -> None:
    await world.set()
    await world.begin()
    (world.folder / "secrets.key").unlink()
    assert "bring back the key file" in (await world.ask()).refused


@pytest.mark.parametrize("after", [False, True])
async def test_a_host_that_dies_at_any_moment_of_a_new_key_loses_no_secret(
    world: World, after: bool
) -> None:
    values = {f"KEY{number}": f"value-number-{number}" for number in range(3)}
    for name, value in values.items():
        await world.set(value, name)
    deaths = 0
    for ends_at in range(1, 100):
        try:
            await world.secrets(Life(ends_at, after)).rotate_key()
        except Killed:
            deaths += 1
        else:
            break
        finally:
            assert await opened(world) == values
    assert deaths > 8
    await world.secrets().rotate_key()
    assert await opened(world) == values
    ring = KeyRingFile(world.folder, {}).read()
    assert len(ring.keys) == 1
    assert {kept.secret.key for kept in await world.store.all()} == {ring.current.id}


async def opened(world: World) -> dict[str, str]:
    ring = KeyRingFile(world.folder, {}).read()
    return {k.secret.name: open_envelope(ring, k.secret) for k in await world.store.all()}


async def test_keys_of_the_environment_are_used_first_to_last_and_never_written(
    tmp_path: Path,
) -> None:
    old, new = ("k1:" + "A" * 43 + "=", "k2:" + "B" * 43 + "=")
    before = KeyRingFile(tmp_path, {"STAUNCH_SECRETS_KEY": old}).read()
    both = KeyRingFile(tmp_path, {"STAUNCH_SECRETS_KEY": f"{new},{old}"})
    assert both.read().current.id == "k2"
    assert both.read().keys[1] == before.current
    assert both.add() == both.keep_only(set()) == both.read()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NoKeys, match="32 bytes in base64") as wrong:
        KeyRingFile(tmp_path, {"STAUNCH_SECRETS_KEY": "k1:c2VjcmV0"}).read()
    assert "c2VjcmV0" not in str(wrong.value)
