"""Secrets of a repository's own file: who is told them, in which order, and with which keys."""

from pathlib import Path

import pyrage
import pytest

from ci_host.adapters.files.key_ring import KeyRingFile
from ci_host.engine.people import PersonRefused
from ci_host.engine.sealed_secrets import IDENTITIES_MAX, IDENTITY
from ci_host.envelopes import open_envelope
from ci_host.sealed_file import FILE_BYTES_MAX, PATH, sealed_value, written
from pipelines.event import Event, EventKind
from pipelines.secret import NamedScope, Scope
from tests.engine.secret_world import FORK, PUSH, REPO, VALUE, Killed, Life, World

pytestmark = pytest.mark.anyio

OTHER = "gh/43"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def encrypt(world: World, value: str = VALUE, name: str = "KEY", repo: str = REPO.id) -> None:
    keys = await world.secrets().sealed.recipients(repo, "ada")
    put(world, sealed_value(name, value, keys[:1]), name)


def put(world: World, sealed: str, name: str = "KEY") -> None:
    world.at_commit[PATH] = written(world.at_commit.get(PATH, b""), name, sealed)


async def test_a_job_is_told_what_the_file_at_its_commit_has(world: World) -> None:
    await world.begin()
    assert f"pool default, event push, {PATH})" in (await world.ask()).refused
    await encrypt(world)
    answer = await world.ask()
    assert world.opened(answer) == {"K": VALUE}
    assert VALUE.encode() not in answer.sealed + world.at_commit[PATH]


async def test_a_secret_kept_for_the_repository_goes_before_its_file_and_the_owners_after_it(
    world: World,
) -> None:
    await world.begin()
    await world.set("the-value-of-the-owner", org="gh/acme", environment="", pool="")
    assert world.opened(await world.ask()) == {"K": "the-value-of-the-owner"}
    await encrypt(world, "the-value-of-the-file")
    assert world.opened(await world.ask()) == {"K": "the-value-of-the-file"}
    await world.set("the-value-that-is-kept", repo=REPO.id)
    assert world.opened(await world.ask()) == {"K": "the-value-that-is-kept"}
    world.at_commit[PATH] = b"KEY: [broken"
    assert world.opened(await world.ask()) == {"K": "the-value-that-is-kept"}


@pytest.mark.parametrize("kind", [EventKind.PULL_REQUEST, EventKind.MANUAL])
async def test_the_changes_of_a_fork_get_nothing_of_a_file_either(
    world: World, kind: EventKind
) -> None:
    await encrypt(world)
    await world.begin(
        Event(kind=kind, commit=PUSH.commit, ref="refs/pull/1/head", pull_request=FORK)
    )
    assert "no secret (KEY) is given to a job of a fork's changes" in (await world.ask()).refused


async def test_a_file_of_another_repository_is_worth_nothing(world: World) -> None:
    await world.begin()
    await encrypt(world, repo=OTHER)
    assert "this installation has no key for this repository" in (await world.ask()).refused
    (ours,) = await world.secrets().sealed.recipients(REPO.id, "ada")
    refused = (await world.ask()).refused
    assert f"encrypted for another public key than this repository has here ({ours})" in refused


async def test_an_entry_under_the_name_of_another_is_refused(world: World) -> None:
    await world.begin()
    keys = await world.secrets().sealed.recipients(REPO.id, "ada")
    put(world, sealed_value("OTHER", VALUE, keys))
    assert "was encrypted for another name" in (await world.ask()).refused
    raw = pyrage.encrypt(VALUE.encode(), [pyrage.x25519.Recipient.from_str(keys[0])], armored=True)
    put(world, raw.decode())
    assert "was encrypted for another name" in (await world.ask()).refused


async def test_what_cannot_be_used_says_so_without_showing_it(world: World) -> None:
    await world.begin()
    keys = await world.secrets().sealed.recipients(REPO.id, "ada")
    good = sealed_value("KEY", VALUE, keys)
    for sealed, why in (
        ("nothing at all", "is no age file with armour"),
        (good[:60] + "AAAA" + good[64:], "is damaged; encrypt it anew"),
        (good.replace("\n-----END", "AAAA\n-----END"), "is damaged; encrypt it anew"),
        ("x" * 200_000, "has 200,000 bytes; 131,072 are allowed"),
    ):
        put(world, sealed)
        assert why in (refused := (await world.ask()).refused), refused
    short = pyrage.encrypt(b"KEY=short", [pyrage.x25519.Recipient.from_str(keys[0])], armored=True)
    put(world, short.decode())
    assert "8 bytes or more" in (refused := (await world.ask()).refused)
    assert "short" not in refused
    world.at_commit[PATH] = b"#" * (FILE_BYTES_MAX + 1)
    assert "has 1,048,577 bytes; 1,048,576 are allowed" in (await world.ask()).refused


async def test_an_older_key_opens_until_it_is_dropped(world: World) -> None:
    await world.begin()
    await encrypt(world)
    sealed = world.secrets().sealed
    (old,) = await sealed.recipients(REPO.id, "ada")
    new = await sealed.rotate(REPO.id, "ada")
    assert new[1:] == [old]
    assert await sealed.recipients(REPO.id, "ada") == new
    assert world.opened(await world.ask()) == {"K": VALUE}
    assert await sealed.drop_older(REPO.id, "ada") == 1
    assert await sealed.drop_older(REPO.id, "ada") == 0
    assert "encrypted for another public key" in (await world.ask()).refused
    await encrypt(world)
    assert world.opened(await world.ask()) == {"K": VALUE}


async def test_keys_do_not_grow_without_end(world: World) -> None:
    sealed = world.secrets().sealed
    for _ in range(IDENTITIES_MAX):
        await sealed.rotate(REPO.id, "ada")
    with pytest.raises(PersonRefused, match="drop the older ones"):
        await sealed.rotate(REPO.id, "ada")
    assert await sealed.drop_older("gh/none", "ada") == 0


async def test_no_job_is_told_a_private_key_and_no_person_sees_or_removes_one(world: World) -> None:
    await encrypt(world)
    named = NamedScope(name=IDENTITY, scope=Scope(repo=REPO.id))
    await world.begin(secrets={"K": IDENTITY})
    assert f"{IDENTITY} is not set for this job" in (await world.ask()).refused
    assert await world.secrets().all() == []
    with pytest.raises(PersonRefused, match="there is no secret"):
        await world.secrets().remove(named, "ada")
    with pytest.raises(PersonRefused, match="no name of a secret"):
        await world.secrets().put(named, VALUE, "ada")
    (kept,) = await world.store.all()
    assert b"AGE-SECRET-KEY" not in kept.secret.sealed


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("act", ["rotate", "recipients", "rotate_key"])
async def test_a_host_that_dies_at_any_moment_of_a_change_of_keys_opens_what_was_encrypted(
    world: World, act: str, after: bool
) -> None:
    await world.begin()
    await encrypt(world)
    for ends_at in range(1, 30):
        secrets = world.secrets(Life(ends_at, after))
        try:
            if act == "rotate_key":
                await secrets.rotate_key()
            else:
                await getattr(secrets.sealed, act)(REPO.id, "ada")
        except Killed:
            assert world.opened(await world.ask()) == {"K": VALUE}
            await world.secrets().sealed.recipients(REPO.id, "ada")
        except PersonRefused:
            continue
        else:
            break
    else:
        assert act == "rotate"
    assert world.opened(await world.ask()) == {"K": VALUE}
    ring = KeyRingFile(world.folder, {}).read()
    (kept,) = await world.store.all()
    assert open_envelope(ring, kept.secret).startswith("AGE-SECRET-KEY-1")


async def test_the_envelopes_key_is_rotated_under_the_private_keys_too(world: World) -> None:
    await world.begin()
    await encrypt(world)
    await world.set(name="ANOTHER")
    assert await world.secrets().rotate_key() == 1
    assert world.opened(await world.ask()) == {"K": VALUE}
