"""Invited, enrolled, drained, revoked: what a runner's key may do at each time."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st

from ci_host.engine.people import PersonRefused
from ci_host.engine.registrations import raw_key_of
from ci_host.registration import Registration, State, grant_of
from pipelines.desk import EnrolAsked, Invitation
from tests.unit.desk.world import DeskRefused, World, nkey_of, signed

pytestmark = pytest.mark.anyio


def registration(**more: object) -> Registration:
    facts = {"invitation": "UI", "invited_until": 10.0, "invited_by": "ada", "invited_at": 0.0}
    return Registration(id="far-1", pool="far", **{**facts, **more})


@pytest.mark.parametrize(
    ("facts", "at", "state"),
    [
        ({}, 9.9, State.INVITED),
        ({}, 10.0, State.EXPIRED),
        ({"key": "UK"}, 99.0, State.JOINED),
        ({"key": "UK", "is_draining": True}, 99.0, State.DRAINING),
        ({"key": "UK", "is_spent": True}, 99.0, State.SPENT),
        ({"key": "UK", "is_draining": True, "revoked_at": 5.0}, 99.0, State.REVOKED),
        ({"revoked_at": 5.0}, 6.0, State.REVOKED),
    ],
)
def test_a_registration_has_one_state(facts: dict[str, object], at: float, state: State) -> None:
    made = registration(**facts)
    assert made.state(at) is state
    grant = grant_of(made, at)
    if state is State.INVITED:
        assert grant is not None and (grant.key, grant.publish) == ("UI", ["enrol.far-1"])
    elif state in (State.JOINED, State.DRAINING):
        assert grant is not None and grant.key == "UK"
    else:
        assert grant is None


def test_no_grant_reaches_a_stream_a_lease_or_anybody_elses_answers() -> None:
    grant = grant_of(registration(key="UK"), 99.0)
    assert grant is not None
    own = ("desk.far-1.*", "secrets.ask", "shell.far-1.>")
    pulls = "$JS.API.CONSUMER.MSG.NEXT.JOBS."
    assert all(one in own or one.startswith(pulls) for one in grant.publish)
    assert not any("*" in one or ">" in one for one in grant.publish if one.startswith("$JS"))
    assert set(grant.subscribe) == {
        "_INBOX_far-1.>",
        "told.far-1.cancel",
        "runner.*",
        "shell.far-1.>",
    }


@given(
    address=st.text(max_size=80),
    runner=st.text(max_size=80),
    seed=st.text(max_size=80),
    certificate=st.binary(max_size=600),
)
def test_an_invitation_is_read_as_it_was_written(
    address: str, runner: str, seed: str, certificate: bytes
) -> None:
    made = Invitation(address=address, runner=runner, seed=seed, certificate=certificate)
    word = made.word()
    assert Invitation.read(f" {word}\n") == made
    assert word.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=200))
def test_what_is_no_invitation_is_refused_without_being_repeated(text: str) -> None:
    for word in (text, f"staunch-join-{text}"):
        with pytest.raises(ValueError, match="invitation") as refused:
            Invitation.read(word)
        assert len(text) < 12 or text not in str(refused.value)


@given(st.text(max_size=70))
@example("U")
@example("U" * 56)
def test_what_is_no_key_never_gets_into_the_accounts(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        raw_key_of(text)


def test_a_key_in_the_servers_form_is_the_same_key() -> None:
    key = Ed25519PrivateKey.generate()
    assert raw_key_of(nkey_of(key)) == key.public_key().public_bytes_raw()


async def test_an_invited_runner_enrols_once_and_may_repeat_it() -> None:
    world = World()
    made = await world.invited()
    key = Ed25519PrivateKey.generate()
    assert set(world.accounts.let_in) == {made.invitation}
    for _ in range(2):
        standing = await world.registrations.enrol(made.id, signed(made.id, key))
        assert (standing.runner, standing.pool) == (made.id, "far")
    await world.registrations.apply()
    assert set(world.accounts.let_in) == {nkey_of(key)}
    with pytest.raises(DeskRefused, match="is joined"):
        await world.registrations.enrol(made.id, signed(made.id, Ed25519PrivateKey.generate()))


async def test_an_invitation_is_good_for_its_time_and_its_runner() -> None:
    world = World()
    made, key = await world.invited(), Ed25519PrivateKey.generate()
    stolen = EnrolAsked(key=nkey_of(key), signature=key.sign(EnrolAsked.signed("x", nkey_of(key))))
    with pytest.raises(DeskRefused, match="does not hold the key"):
        await world.registrations.enrol(made.id, stolen)
    with pytest.raises(DeskRefused, match="was invited"):
        await world.registrations.enrol("another", signed("another", key))
    world.now += 601.0
    with pytest.raises(DeskRefused, match="expired"):
        await world.registrations.enrol(made.id, signed(made.id, key))
    await world.registrations.apply()
    assert not world.accounts.let_in


@pytest.mark.parametrize(
    ("pool", "name", "good_for_s", "said"),
    [
        ("a pool", "", 60.0, "no name of a pool"),
        ("far.x", "", 60.0, "no name of a pool"),
        ("far", "a.b", 60.0, "no name of a runner"),
        ("far", "", 100_000.0, "a day at most"),
        ("far", "", 0.0, "a day at most"),
    ],
)
async def test_a_wrong_invitation_is_refused_with_what_is_right(
    pool: str, name: str, good_for_s: float, said: str
) -> None:
    world = World()
    with pytest.raises(PersonRefused, match=said):
        await world.registrations.invite(
            pool, "ada", name=name, is_single=False, good_for_s=good_for_s
        )
    assert await world.registrations.all() == []


async def test_an_installation_that_does_not_listen_says_how_it_would() -> None:
    world = World()
    world.accounts.address = ""
    with pytest.raises(PersonRefused, match="--runners-listen"):
        await world.invited()


async def test_whoever_is_revoked_stays_so() -> None:
    world = World()
    runner = await world.joined()
    await world.registrations.revoke(runner, "ada")
    assert not world.accounts.let_in
    for act in (
        world.registrations.revoke(runner, "ada"),
        world.registrations.drain(runner, "ada", is_draining=True),
    ):
        with pytest.raises(PersonRefused, match="is revoked and stays so"):
            await act
    with pytest.raises(PersonRefused, match="registered"):
        await world.registrations.revoke("another", "ada")
