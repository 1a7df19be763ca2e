"""Connections by the API: tokens and Apps are taken, kept, and never shown."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import httpx2
import pytest

from pipelines.repo import Connection
from tests.contract.app_keys import new_keys
from tests.web.world import World

pytestmark = pytest.mark.anyio

KEYS, OTHER = new_keys(), new_keys()
APP = {"app": "4711", "app_key": KEYS.private, "api_url": "https://api.github.com"}


@dataclass
class Settings:
    """The host's own settings, as NatsCatalog keeps them."""

    kept: dict[str, Connection] = field(default_factory=dict)

    async def connection(self, connection: str) -> Connection | None:
        return self.kept.get(connection)

    async def connections(self) -> list[Connection]:
        return list(self.kept.values())

    async def put_connection(self, connection: Connection) -> None:
        self.kept[connection.id] = connection


async def put(world: World, settings: Settings, **body: Any) -> httpx2.Response:
    """The answer to a change of the connection `hub`, by an administrator."""
    world.app.state.services = replace(world.services, catalog=cast(Any, settings))
    transport = httpx2.ASGITransport(app=world.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        headers = {"Authorization": "Bearer stn_ada"}
        asked = {"id": "hub", "kind": "github", **body}
        answer = await client.put("/api/v1/connections", json=asked, headers=headers)
        listed = await client.get("/api/v1/connections", headers=headers)
        assert "PRIVATE KEY" not in answer.text + listed.text
        return answer


async def test_an_app_takes_the_place_of_a_token_and_its_key_is_never_shown(world: World) -> None:
    settings = Settings()
    await put(world, settings, token="t", api_url="https://api.github.com/")
    answer = await put(world, settings, **APP)
    assert answer.status_code == 200
    assert (answer.json()["app"], answer.json()["has_token"]) == ("4711", False)
    kept = settings.kept["hub"]
    assert (kept.app, kept.app_key, kept.token) == ("4711", KEYS.private, "")


async def test_what_is_left_out_stays_as_it_was(world: World) -> None:
    settings = Settings()
    secret = (await put(world, settings, **APP)).json()["secret"]
    before = settings.kept["hub"]
    assert (await put(world, settings)).json()["secret"] == secret
    assert settings.kept["hub"] == before
    # A new key of the same App; and then a token in its place, at no forge at all.
    await put(world, settings, app_key=OTHER.private)
    assert settings.kept["hub"].app_key == OTHER.private
    await put(world, settings, token="t", api_url="")
    kept = settings.kept["hub"]
    assert (kept.token, kept.app, kept.app_key, kept.api_url) == ("t", "", "", "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"app_key": ""}, "none was given"),
        ({"app_key": "no key"}, "no RSA private key"),
        ({"app": ""}, "`app` is its id"),
        ({"kind": "gitea"}, "only a connection of kind github"),
        ({"api_url": ""}, "`api_url` must say"),
        ({"token": "t"}, "not both"),
    ],
    ids=["no key", "another text", "no id", "another forge", "no forge", "a token too"],
)
async def test_what_is_no_app_is_refused_with_the_reason(
    world: World, change: dict[str, str], why: str
) -> None:
    settings = Settings()
    answer = await put(world, settings, **{**APP, **change})
    assert answer.status_code == 422 and why in answer.json()["detail"]
    assert settings.kept == {}


async def test_the_key_of_one_app_is_not_taken_for_that_of_another(world: World) -> None:
    settings = Settings()
    await put(world, settings, **APP)
    answer = await put(world, settings, app="4712")
    assert answer.status_code == 422 and "none was given" in answer.json()["detail"]


async def test_a_change_of_something_else_ends_no_rotation(world: World) -> None:
    settings = Settings()
    await put(world, settings, secret="first")
    await put(world, settings, secret="second")
    await put(world, settings, token="t")
    await put(world, settings, secret="second", token="u")
    assert settings.kept["hub"].secrets == ["second", "first"]
    await put(world, settings, secret="third")
    assert settings.kept["hub"].secrets == ["third", "second"]
    await put(world, settings, drop_older=True)
    assert settings.kept["hub"].secrets == ["third"]


@pytest.mark.parametrize(
    "secret", ["whsec_", "whsec_AAAA", "whsec_not base64", "whsec_-_" + "A" * 42]
)
async def test_a_signing_token_that_signs_nothing_is_refused(world: World, secret: str) -> None:
    settings = Settings()
    answer = await put(world, settings, secret=secret)
    assert (answer.status_code, answer.json()["title"]) == (422, "No signing token")
    assert not settings.kept
