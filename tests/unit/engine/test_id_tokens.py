"""What an identity token says, and who believes it."""

import base64
import hmac
import json
import time
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey

from ci_host.adapters.files.signing_key_file import SigningKeyFile
from ci_host.signing_keys import new_key, published, signed
from pipelines.event import Event, EventKind
from tests.engine.secret_world import FORK, ISSUER, JOB, REPO, RUN, World

pytestmark = pytest.mark.anyio

AUDIENCE = "sts.example.org"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def is_believed(token: str, keys: dict[str, Any], **expected: object) -> bool:
    """Whether somebody who is as strict as one should be takes the token."""
    wanted = {"iss": ISSUER, "aud": AUDIENCE, "repo_id": REPO.id, **expected}
    rules = {name: {"essential": True, "value": value} for name, value in wanted.items()}
    try:
        decoded = jwt.decode(token, KeySet.import_key_set(keys), algorithms=["RS256"])
        registry = jwt.JWTClaimsRegistry(exp={"essential": True}, **rules)
        registry.validate(decoded.claims)
    except (JoseError, ValueError):
        return False
    return True


def published_by(world: World) -> dict[str, Any]:
    return published(SigningKeyFile(world.folder, time.time).read())


async def token_of(world: World) -> str:
    return world.opened(await world.ask())["STAUNCH_ID_TOKEN"]


NONE = b'{"alg":"none"}'


def unpadded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


async def test_a_token_says_whose_job_it_is_for_ten_minutes(world: World) -> None:
    await world.begin(secrets={}, id_token=AUDIENCE, environment="production", pool="metal")
    token = await token_of(world)
    assert is_believed(token, published_by(world), sub="repo:acme/app:environment:production")
    claims = jwt.decode(
        token, KeySet.import_key_set(published_by(world)), algorithms=["RS256"]
    ).claims
    assert claims["exp"] - claims["iat"] == 600
    told = {"run": RUN, "job": JOB, "attempt": 1, "sha": "1" * 40, "ref": "refs/heads/main"}
    assert claims.items() >= {**told, "repo": "acme/app", "event": "push", "pool": "metal"}.items()


async def test_a_token_is_not_believed_by_others_later_or_when_it_was_changed(
    world: World,
) -> None:
    await world.begin(secrets={}, id_token=AUDIENCE)
    token, keys = await token_of(world), published_by(world)
    assert is_believed(token, keys)
    for wrong in ({"aud": "other"}, {"iss": "https://other.invalid"}, {"repo_id": "gh/43"}):
        assert not is_believed(token, keys, **wrong)
    header, payload, signature = token.split(".")
    claims = jwt.decode(token, KeySet.import_key_set(keys), algorithms=["RS256"]).claims
    assert not is_believed(f"{unpadded(NONE)}.{payload}.", keys)
    public = RSAKey.import_key(keys["keys"][0]).as_pem(private=False)
    kid = keys["keys"][0]["kid"]
    start = f"{unpadded(json.dumps({'alg': 'HS256', 'kid': kid}).encode())}.{payload}"
    forged = unpadded(hmac.digest(public, start.encode(), "sha256"))
    assert not is_believed(f"{start}.{forged}", keys)
    assert not is_believed(signed(new_key(1.0), claims), keys)
    turned = "A" if signature[0] != "A" else "B"
    assert not is_believed(f"{header}.{payload}.{turned}{signature[1:]}", keys)
    world.now -= 700
    assert not is_believed(await token_of(world), keys)


async def test_a_new_key_signs_at_once_and_the_old_one_is_published_for_a_day(
    world: World,
) -> None:
    await world.begin(secrets={}, id_token=AUDIENCE)
    before = await token_of(world)
    moment = time.time()
    SigningKeyFile(world.folder, lambda: moment).rotate()
    both = published_by(world)
    assert [is_believed(token, both) for token in (before, await token_of(world))] == [True, True]
    SigningKeyFile(world.folder, lambda: moment + 86_401).rotate()
    later = published_by(world)
    assert len(later["keys"]) == 2
    assert not is_believed(before, later)
    assert "d" not in later["keys"][0]
    assert (world.folder / "tokens.key").stat().st_mode & 0o777 == 0o600


async def test_the_changes_of_a_fork_get_no_token(world: World) -> None:
    await world.begin(
        Event(kind=EventKind.PULL_REQUEST, commit="1" * 40, pull_request=FORK),
        secrets={},
        id_token=AUDIENCE,
    )
    assert "no secret (an identity token) is given" in (await world.ask()).refused
