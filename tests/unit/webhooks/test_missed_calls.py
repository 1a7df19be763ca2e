"""Calls that GitHub could not deliver are asked for again: those that arrived by no attempt."""

from datetime import UTC, datetime

import httpx2
import pytest

from pipelines.repo import Connection, ForgeKind, Repo
from tests.contract.app_keys import new_keys
from tests.published.checked import transport_of
from webhooks.forge import Later, Refused
from webhooks.github.deliveries import ATTEMPTS_MAX, KEPT_S, Attempt, lost
from webhooks.missed_calls import MissedCalls

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0
URL = "https://ci.example"
REPO = Repo(
    id="hub/1", connection="hub", external_id="1", name="acme/shop", clone_url="https://x.example/y"
)
TOKEN = Connection(id="hub", kind=ForgeKind.GITHUB, api_url="https://api.example", token="t")
HOOKS = "/repos/acme/shop/hooks"


def attempt(number, guid, code, *, ago=60.0):
    """An entry of the list."""
    at = datetime.fromtimestamp(NOW - ago, UTC).isoformat().replace("+00:00", "Z")
    return {"id": number, "guid": guid, "delivered_at": at, "event": "push", "status_code": code}


def guids(*entries, since=0.0):
    """Of the calls that are lost."""
    return [one.guid for one in lost([Attempt(**entry) for entry in entries], since)]


@pytest.mark.parametrize("code", [0, 401, 404, 429, 500, 502, 503])
def test_a_call_that_arrived_by_no_attempt_is_lost(code):
    assert guids(attempt(1, "a", code)) == ["a"]


def test_a_call_that_arrived_by_any_attempt_is_not(code=503):
    assert guids(attempt(2, "a", 202, ago=10), attempt(1, "a", code, ago=90)) == []


@pytest.mark.parametrize("code", [400, 413])
def test_a_call_that_was_refused_for_what_it_is_is_not_asked_for_again(code):
    assert guids(attempt(1, "a", code)) == []


def test_a_call_is_not_asked_for_for_ever():
    tries = [attempt(number, "a", 500) for number in range(ATTEMPTS_MAX)]
    assert guids(*tries[1:]) == ["a"]
    assert guids(*tries) == []


def test_lost_calls_come_in_the_order_in_which_they_were_made():
    entries = [attempt(3, "c", 0, ago=5), attempt(1, "a", 0, ago=50), attempt(2, "b", 0, ago=9)]
    assert guids(*entries) == ["a", "b", "c"]
    assert guids(*entries, since=NOW - 20) == ["b", "c"]


class Hub:
    """GitHub's lists of deliveries, in pages, and what was asked for again."""

    def __init__(self, *pages, url=f"{URL}/hooks/hub"):
        self.pages, self.url = pages, url
        self.again = []
        self.asked = []
        self.refuses = None

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        self.asked.append(path)
        if self.refuses is not None:
            return httpx2.Response(self.refuses, json={"message": "no"})
        if path == HOOKS:
            return httpx2.Response(200, json=[{"id": 7, "config": {"url": self.url}}])
        if request.method == "POST":
            self.again.append(int(path.split("/")[-2]))
            return httpx2.Response(202, json={})
        assert path in (f"{HOOKS}/7/deliveries", "/app/hook/deliveries")
        number = int(request.url.params.get("cursor", "0"))
        more = f'<https://api.example{path}?per_page=100&cursor={number + 1}>; rel="next"'
        headers = {"link": more} if number + 1 < len(self.pages) else {}
        return httpx2.Response(200, json=self.pages[number], headers=headers)

    async def told(self, connection=TOKEN, repo=REPO, since=0.0):
        """What asking it comes to."""
        async with httpx2.AsyncClient(transport=transport_of(ForgeKind.GITHUB, self)) as client:
            calls = MissedCalls(client, URL, now=lambda: NOW)
            return await calls.ask_again(connection, repo, since)


async def test_what_a_repositorys_webhook_could_not_deliver_is_sent_again():
    hub = Hub([attempt(3, "c", 202), attempt(2, "b", 503)], [attempt(1, "a", 0, ago=500)])
    assert await hub.told() == ["a", "b"]
    assert hub.again == [1, 2]


async def test_an_app_is_asked_for_those_of_all_its_repositories():
    app = Connection(
        id="hub",
        kind=ForgeKind.GITHUB,
        api_url="https://api.example",
        app="12",
        app_key=new_keys().private,
    )
    hub = Hub([attempt(1, "a", 0)])
    assert await hub.told(app, None) == ["a"]
    assert hub.asked == ["/app/hook/deliveries", "/app/hook/deliveries/1/attempts"]


async def test_pages_of_before_are_not_read_nor_what_github_keeps_no_more():
    hub = Hub([attempt(2, "b", 0, ago=100)], [attempt(1, "a", 0, ago=KEPT_S + 1)])
    assert await hub.told(since=NOW - 50) == []
    assert len(hub.asked) == 2
    assert await hub.told() == ["b"]


async def test_a_webhook_that_calls_elsewhere_is_none_of_ours():
    hub = Hub([attempt(1, "a", 0)], url="https://other.example/hook")
    told = await hub.told()
    assert isinstance(told, Refused)
    assert "no webhook that calls https://ci.example/hooks/hub" in told.reason
    assert hub.again == []


@pytest.mark.parametrize(("code", "kind"), [(403, Refused), (404, Refused), (502, Later)])
async def test_a_forge_that_does_not_list_them_says_why(code, kind):
    hub = Hub([])
    hub.refuses = code
    assert isinstance(await hub.told(), kind)


@pytest.mark.parametrize(
    "connection",
    [
        Connection(id="hub", kind=ForgeKind.GITLAB, api_url="https://api.example", token="t"),
        Connection(id="hub", kind=ForgeKind.GITHUB, api_url="https://api.example"),
        Connection(id="hub", kind=ForgeKind.GITHUB, token="t"),
    ],
    ids=["another forge", "no token", "no address"],
)
async def test_where_nothing_can_be_asked_nobody_is(connection):
    hub = Hub([])
    assert await hub.told(connection) is None
    assert hub.asked == []
