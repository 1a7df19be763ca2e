"""Whose a name is, asked of each forge's API: by an answer that names the repository's id."""

import httpx2
import msgspec
import pytest

from pipelines.repo import Connection, ForgeKind, Repo
from tests.contract.app_keys import new_keys
from tests.published.checked import transport_of
from webhooks.forge import FoundRepo, Later, Refused
from webhooks.github.app import AppTokens
from webhooks.memory import MemoryConnections
from webhooks.names import ForgeNames

pytestmark = pytest.mark.anyio

REPO = Repo(id="c/7", connection="c", external_id="7", name="acme/shop", clone_url="https://f/x")
UUID = "8d3e1c7a-0b52-4f6e-9a41-5c2d7e90f1b3"
URL = "https://forge.example/acme/store.git"
STORE = {"id": 7, "full_name": "acme/store", "clone_url": URL}
PLACES = {
    ForgeKind.GITHUB: ("/repos/acme/store", STORE),
    ForgeKind.GITEA: ("/api/v1/repos/acme/store", STORE),
    ForgeKind.GITLAB: (
        "/api/v4/projects/acme%2Fstore",
        {"id": 7, "path_with_namespace": "acme/store", "http_url_to_repo": URL},
    ),
    ForgeKind.BITBUCKET: (
        "/2.0/repositories/acme/store",
        {
            "uuid": f"{{{UUID}}}",
            "full_name": "acme/store",
            "links": {"clone": [{"name": "https", "href": URL}]},
        },
    ),
    ForgeKind.BITBUCKET_DC: (
        "/rest/api/latest/projects/acme/repos/store",
        {
            "id": 7,
            "slug": "store",
            "project": {"key": "acme"},
            "links": {"clone": [{"name": "http", "href": URL}]},
        },
    ),
}


class NamingForge:
    """A forge that knows acme/store, and who was called acme/shop before."""

    def __init__(self, kind: ForgeKind) -> None:
        self.place, self.repo = PLACES[kind]
        self.asked: list[str] = []
        self.answer: httpx2.Response | None = None

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path.decode()
        self.asked.append(path)
        if self.answer is not None:
            return self.answer
        if path == self.place:
            return httpx2.Response(200, json=self.repo)
        if path == self.place.replace("store", "shop"):
            return httpx2.Response(301, headers={"location": self.place})
        return httpx2.Response(404, json={"message": "Not Found"})


async def looked_up(forge, kind, name, repo=REPO, **proof):
    connection = Connection(
        id="c", kind=kind, api_url="https://forge.example", **(proof or {"token": "t"})
    )
    async with httpx2.AsyncClient(transport=transport_of(kind, forge)) as client:
        apps = AppTokens(client, lambda: 1.0)
        names = ForgeNames(MemoryConnections(connection), client, apps, now=lambda: 1.0)
        return await names.look_up(repo, name)


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_a_name_and_the_one_before_it_lead_to_the_same_id(kind):
    forge = NamingForge(kind)
    external_id = UUID if kind is ForgeKind.BITBUCKET else "7"
    for name in ("acme/store", "acme/shop"):
        told = await looked_up(forge, kind, name)
        assert isinstance(told, FoundRepo), told
        assert (told.external_id, told.name, told.clone_url) == (external_id, "acme/store", URL)


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_a_forge_that_is_away_is_later_and_a_name_that_nobody_has_is_refused(kind):
    forge = NamingForge(kind)
    assert isinstance(await looked_up(forge, kind, "acme/gone"), Refused)
    forge.answer = httpx2.Response(502)
    assert isinstance(await looked_up(forge, kind, "acme/store"), Later)


@pytest.mark.parametrize("kind", sorted(PLACES))
@pytest.mark.parametrize(
    "name",
    ["../user", "acme/..", "acme/./x", "acme", "/acme/shop", "acme/shop?x=1", "a/b#c", "a/b\n",
     "acme//shop", "acme/shop/", "ácme/shop", "a/" + "x" * 600, ""],
)  # fmt: skip
async def test_what_is_no_name_of_a_repository_is_never_put_into_an_address(kind, name):
    forge = NamingForge(kind)
    assert isinstance(await looked_up(forge, kind, name), Refused)
    assert forge.asked == []


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_of_a_repository_that_was_registered_without_its_owner_its_place_says_the_name(kind):
    forge = NamingForge(kind)
    url = URL.replace("/acme", "/scm/acme") if kind is ForgeKind.BITBUCKET_DC else URL
    repo = msgspec.structs.replace(REPO, name="store", clone_url=url)
    told = await looked_up(forge, kind, "store", repo)
    assert isinstance(told, FoundRepo), told
    assert told.name == "acme/store"
    # What an event says is not helped along.
    assert isinstance(await looked_up(forge, kind, "store"), Refused)


async def test_groups_are_part_of_a_name_on_gitlab_alone():
    forge = NamingForge(ForgeKind.GITLAB)
    await looked_up(forge, ForgeKind.GITLAB, "acme/tools/shop")
    assert forge.asked == ["/api/v4/projects/acme%2Ftools%2Fshop"]
    other = NamingForge(ForgeKind.GITHUB)
    assert isinstance(await looked_up(other, ForgeKind.GITHUB, "acme/shop/hooks"), Refused)
    assert other.asked == []


async def test_without_an_api_or_a_token_nobody_is_asked():
    forge = NamingForge(ForgeKind.GITHUB)
    assert await looked_up(forge, ForgeKind.GIT, "acme/store") is None
    assert await looked_up(forge, ForgeKind.GITHUB, "acme/store", token="") is None
    assert forge.asked == []


async def test_an_app_asks_with_a_token_for_the_name_that_it_asks_about():
    forge = NamingForge(ForgeKind.GITHUB)

    def answer(request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path == "/repos/acme/store/installation":
            return httpx2.Response(200, json={"id": 5})
        if path == "/app/installations/5/access_tokens":
            return httpx2.Response(201, json={"token": "ghs_1"})
        assert request.headers["authorization"] == "Bearer ghs_1"
        return forge(request)

    told = await looked_up(
        answer, ForgeKind.GITHUB, "acme/store", app="1", app_key=new_keys().private
    )
    assert isinstance(told, FoundRepo), told
    assert told.external_id == "7"
