"""Forges list which repositories changed lately; it is read to where nothing is new."""

from datetime import UTC, datetime

import httpx2
import pytest

from pipelines.repo import Connection, ForgeKind, Repo
from tests.contract.app_keys import new_keys
from tests.published.checked import transport_of
from webhooks.change_stamps import LATELY_PAGES_MAX, WHOLE_PAGES_MAX
from webhooks.changes import Changes
from webhooks.forge import Changed, Later, Refused
from webhooks.github.app import AppTokens
from webhooks.memory import MemoryConnections

pytestmark = pytest.mark.anyio

API = "https://forge.example"
REPO = Repo(id="c/1", connection="c", external_id="1", name="acme/shop", clone_url="/x")
LISTS = {
    ForgeKind.GITHUB: ("/user/repos", "pushed_at"),
    ForgeKind.GITEA: ("/api/v1/repos/search", "updated_at"),
    ForgeKind.GITLAB: ("/api/v4/projects", "last_activity_at"),
}
NOON = 1_700_000_000
PULLS = "/api/v1/repos/issues/search"


def time_of(at):
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class ListingForge:
    """Repositories with the time of their last change, `page` of them in an answer."""

    def __init__(self, kind, times, *, page=2):
        self.path, self.field = LISTS[kind]
        self.kind, self.times, self.page = kind, times, page
        self.pulls = []
        self.asked = []

    def __call__(self, request):
        self.asked.append(request)
        if request.url.path == PULLS:
            return httpx2.Response(200, json=self.pulls)
        assert request.url.path == self.path
        number = int(request.url.params.get("page", "1"))
        known = sorted(self.times.items(), key=lambda one: -(one[1] or 0))
        shown = [
            {"id": id, self.field: time_of(at) if at else None}
            for id, at in known[self.page * (number - 1) : self.page * number]
        ]
        further = '<https://elsewhere.example/?page=9>; rel="next"'
        more = {"link": further} if len(known) > self.page * number else {}
        body = {"ok": True, "data": shown} if self.kind is ForgeKind.GITEA else shown
        return httpx2.Response(200, json=body, headers=more)


async def changed(forge, kind, since=0.0, *, whole=False, **more):
    connection = Connection(id="c", kind=kind, api_url=API, **({"token": "t"} | more))
    async with httpx2.AsyncClient(transport=transport_of(kind, forge)) as client:
        apps = AppTokens(client, lambda: float(NOON))
        changes = Changes(MemoryConnections(connection), client, apps, now=lambda: float(NOON))
        return await changes.changed(REPO, since, whole=whole)


@pytest.mark.parametrize("kind", LISTS)
async def test_a_list_is_read_until_nothing_in_it_is_newer_than_what_is_known(kind):
    forge = ListingForge(kind, {number: NOON - 60 * number for number in range(1, 9)})
    told = await changed(forge, kind, NOON - 150.0)
    assert isinstance(told, Changed)
    assert told.is_whole
    assert told.stamps["1"] == NOON - 60
    assert set(told.stamps) == {"1", "2", "3", "4"}
    assert {request.url.host for request in forge.asked} == {"forge.example"}


@pytest.mark.parametrize("kind", LISTS)
async def test_a_whole_list_has_all_but_those_of_which_it_does_not_say_when(kind):
    forge = ListingForge(kind, {1: NOON, 2: NOON - 60, 3: None})
    told = await changed(forge, kind, NOON - 1.0, whole=True)
    assert told.stamps == {"1": NOON, "2": NOON - 60}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize(("whole", "pages"), [(False, LATELY_PAGES_MAX), (True, WHOLE_PAGES_MAX)])
async def test_a_list_that_does_not_end_is_read_so_far_and_called_unfinished(kind, whole, pages):
    forge = ListingForge(kind, {number: NOON for number in range(1, 2 * WHOLE_PAGES_MAX + 9)})
    told = await changed(forge, kind, NOON - 1.0, whole=whole)
    assert not told.is_whole
    assert sum(request.url.path == forge.path for request in forge.asked) == pages


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (502, "", Later),
        (403, '{"message": "no"}', Refused),
        (200, "[", Refused),
        (200, '[{"id": "x"}]', Refused),
        (200, '{"data": [{"id": 1, "updated_at": "soon"}]}', Refused),
        (200, "[" * 50_000, Refused),
    ],
)
async def test_what_is_no_list_is_told_as_such(kind, status, body, outcome):
    told = await changed(lambda _: httpx2.Response(status, text=body), kind)
    assert isinstance(told, outcome)


async def test_a_mirror_of_gitea_is_in_no_list_for_its_time_may_go_back():
    def forge(_request):
        data = [{"id": 1, "updated_at": time_of(NOON), "mirror": True}]
        return httpx2.Response(200, json={"data": data if "page=1" in str(_request.url) else []})

    assert (await changed(forge, ForgeKind.GITEA)).stamps == {}


async def test_gitea_tells_of_new_pull_requests_in_another_list():
    forge = ListingForge(ForgeKind.GITEA, {1: NOON - 90_000})
    forge.pulls = [
        {"updated_at": time_of(NOON - 5), "repository": {"id": 1}},
        {"updated_at": time_of(NOON - 9), "repository": {"id": 1}},
        {"updated_at": time_of(NOON), "repository": None},
    ]
    told = await changed(forge, ForgeKind.GITEA, NOON - 600.0)
    assert told.pulls == {"1": NOON - 5}
    (asked,) = [one.url.params for one in forge.asked if one.url.path == PULLS]
    assert dict(asked) == {
        "type": "pulls", "state": "open", "since": time_of(NOON - 600), "limit": "50",
    }  # fmt: skip
    # Nothing is known yet that something could have changed since.
    assert (await changed(forge, ForgeKind.GITEA)).pulls == {}


@pytest.mark.parametrize("kind", LISTS)
async def test_github_alone_counts_new_commits_of_forks(kind):
    told = await changed(ListingForge(kind, {1: NOON}), kind)
    assert told.heads is (kind is ForgeKind.GITHUB)


async def test_an_app_is_asked_for_what_its_organisation_has_with_a_token_for_no_more_than_that():
    asked = []

    def forge(request):
        asked.append(request)
        match request.url.path:
            case "/repos/acme/shop/installation":
                return httpx2.Response(200, json={"id": 5})
            case "/app/installations/5/access_tokens":
                return httpx2.Response(201, json={"token": "ghs_of-the-app"})
        assert request.headers["authorization"] == "Bearer ghs_of-the-app"
        return httpx2.Response(200, json=[{"id": 1, "pushed_at": time_of(NOON)}])

    told = await changed(forge, ForgeKind.GITHUB, token="", app="1", app_key=new_keys().private)
    assert told.stamps == {"1": NOON}
    assert asked[1].content == b'{"permissions":{"metadata":"read"}}'
    assert asked[2].url.path == "/orgs/acme/repos"


def places(kind, **more):
    connection = Connection(id="c", kind=kind, **({"api_url": API, "token": "t"} | more))
    changes = Changes(MemoryConnections(connection), None, None, now=lambda: 0.0)
    return changes.place(REPO)


@pytest.mark.parametrize("kind", ForgeKind)
def test_who_has_no_list_or_no_token_is_in_none(kind):
    assert places(kind) == ("c" if kind in LISTS else "")
    assert places(kind, token="") == ""
    assert places(kind, api_url="") == ""


def test_each_organisation_of_an_app_has_a_list_of_its_own():
    assert places(ForgeKind.GITHUB, token="", app="1") == "c acme"


async def test_a_connection_without_a_list_answers_that_it_has_none():
    assert await changed(None, ForgeKind.BITBUCKET) is None
