"""Open pull requests are listed by forges' APIs as the events that their webhooks would be."""

import httpx2
import pytest

from pipelines.repo import Connection, ForgeKind
from tests.published.checked import transport_of
from tests.unit.webhooks.test_pulls import (
    ANSWERS,
    BASE_URL,
    CLOUD,
    CLOUD_REPO,
    HEAD,
    PULL,
    REPO,
    SERVER,
    UUIDS,
)
from webhooks.forge import Later, Refused
from webhooks.github.app import AppTokens
from webhooks.inquiry import Inquiry
from webhooks.memory import MemoryConnections

pytestmark = pytest.mark.anyio

LISTS = {
    ForgeKind.GITHUB: "/repos/acme/shop/pulls",
    ForgeKind.GITEA: "/api/v1/repos/acme/shop/pulls",
    ForgeKind.GITLAB: "/api/v4/projects/1/merge_requests",
}


def in_list(kind, number, **fields):
    """One of a forge's list."""
    one = {**ANSWERS[kind][PULL[kind]], "title": f"Change {number}", **fields}
    return {**one, "iid" if kind is ForgeKind.GITLAB else "number": number}


async def listed(kind, pages, *, times=1):
    """What was listed each time, of a forge with these pages, and how it was asked."""
    requests = []

    def forge(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        assert request.url.path == LISTS[kind]
        if request.headers.get("if-none-match") == '"one"':
            return httpx2.Response(304)
        page = int(request.url.params.get("page", 1))
        more = {"link": '<https://forge.example/?page=2>; rel="next"'} if page < len(pages) else {}
        return httpx2.Response(200, json=pages[page - 1], headers={"etag": '"one"', **more})

    connection = Connection(id="c", kind=kind, api_url=BASE_URL, token="t")
    async with httpx2.AsyncClient(transport=transport_of(kind, forge)) as client:
        apps = AppTokens(client, lambda: 1.0)
        inquiry = Inquiry(MemoryConnections(connection), client, apps, now=lambda: 1.0)
        return [await inquiry.open_pulls(REPO) for _ in range(times)], requests


@pytest.mark.parametrize("kind", LISTS)
async def test_open_pull_requests_are_listed_as_the_events_they_would_be(kind):
    labels = ["later"] if kind is ForgeKind.GITLAB else [{"name": "later"}]
    pages = [[in_list(kind, 7, draft=True, labels=labels)], [in_list(kind, 8)]]
    (found,), requests = await listed(kind, pages)
    assert [one.pull_request.number for one in found] == [7, 8]
    assert len(requests) == 2
    (first, _) = found
    folder = "merge-requests" if kind is ForgeKind.GITLAB else "pull"
    assert (first.ref, first.commit) == (f"refs/{folder}/7/head", HEAD)
    assert first.message == "Change 7"
    request = first.pull_request
    assert (request.author, request.base_ref, request.head_ref) == ("sam", "main", "x")
    assert (request.is_fork, request.head_repo, request.is_draft) == (True, "2", True)
    assert request.labels == ["later"]


@pytest.mark.parametrize("kind", LISTS)
async def test_a_list_that_did_not_change_is_not_sent_again(kind):
    told, requests = await listed(kind, [[in_list(kind, 7)]], times=3)
    assert told[0] == told[1] == told[2] != []
    assert [one.headers.get("if-none-match") for one in requests] == [None, '"one"', '"one"']


@pytest.mark.parametrize("kind", LISTS)
async def test_a_list_of_several_pages_is_read_anew_each_time(kind):
    pages = [[in_list(kind, 7)], [in_list(kind, 8)]]
    told, requests = await listed(kind, pages, times=2)
    assert told[0] == told[1]
    assert len(requests) == 4
    assert not any("if-none-match" in one.headers for one in requests)


@pytest.mark.parametrize("kind", LISTS)
async def test_one_that_git_could_not_fetch_is_left_out_of_the_list(kind):
    branch = "source_branch" if kind is ForgeKind.GITLAB else "head"
    name = "a..b" if kind is ForgeKind.GITLAB else {"ref": "a..b", "sha": HEAD, "repo": {"id": 2}}
    (found,), _ = await listed(kind, [[in_list(kind, 7, **{branch: name}), in_list(kind, 8)]])
    assert [one.pull_request.number for one in found] == [8]


async def test_only_in_titles_of_gitea_a_word_makes_a_draft():
    kinds = (ForgeKind.GITHUB, ForgeKind.GITEA)
    found = [await listed(kind, [[in_list(kind, 7, title="WIP: x")]]) for kind in kinds]
    assert [told[0].pull_request.is_draft for (told,), _ in found] == [False, True]


async def of_data_center(pages):
    """What is listed of a server with these pages; a number is an error's code."""
    starts = []

    def server(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == f"{SERVER}/pull-requests"
        assert request.url.params["state"] == "OPEN"
        starts.append(int(request.url.params["start"]))
        page = pages[len(starts) - 1]
        if isinstance(page, int):
            return httpx2.Response(page, json={"errors": [{"message": "no"}]})
        is_last = len(starts) == len(pages)
        more = {"isLastPage": is_last, "nextPageStart": None if is_last else 25 * len(starts)}
        return httpx2.Response(200, json={"values": page, **more})

    kind = ForgeKind.BITBUCKET_DC
    known = MemoryConnections(Connection(id="c", kind=kind, api_url=BASE_URL, token="t"))
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(server)) as client:
        inquiry = Inquiry(known, client, AppTokens(client, lambda: 1.0), now=lambda: 1.0)
        return await inquiry.open_pulls(REPO), starts


def on_data_center(number, **fields):
    kind = ForgeKind.BITBUCKET_DC
    return {**ANSWERS[kind][PULL[kind]], "id": number, "title": f"Change {number}", **fields}


async def test_data_center_lists_page_by_page_what_its_webhooks_would_have_told():
    bad = {"id": "refs/heads/a..b", "latestCommit": HEAD, "repository": {"id": 2}}
    pages = [[on_data_center(7, draft=True), on_data_center(9, fromRef=bad)], [on_data_center(8)]]
    found, starts = await of_data_center(pages)
    assert ([one.pull_request.number for one in found], starts) == ([7, 8], [0, 25])
    first = found[0]
    assert (first.ref, first.commit) == ("refs/pull-requests/7/from", HEAD)
    assert (first.message, first.sender) == ("Change 7", "")
    request = first.pull_request
    assert (request.action, request.base_ref, request.head_ref) == ("", "main", "x")
    assert (request.is_fork, request.head_repo, request.is_draft) == (True, "2", True)


async def test_data_center_that_is_away_or_has_given_the_name_to_another_lists_nothing():
    assert isinstance((await of_data_center([[on_data_center(7)], 503]))[0], Later)
    assert isinstance((await of_data_center([403]))[0], Refused)
    theirs = {"id": "refs/heads/main", "latestCommit": HEAD, "repository": {"id": 3}}
    told, _ = await of_data_center([[on_data_center(7, toRef=theirs)]])
    assert isinstance(told, Refused) and "another repository" in told.reason


async def of_cloud(pages, *, again_after=()):
    """What is listed of Bitbucket Cloud with these pages; a number is an error's code. And then
    once more, after each of so many seconds."""
    asked, time = [], [1.0]

    def server(request: httpx2.Request) -> httpx2.Response:
        assert request.url.path == f"{CLOUD}/pullrequests"
        assert request.url.params["state"] == "OPEN"
        asked.append(request.url)
        page = pages[int(request.url.params["page"]) - 1]
        if isinstance(page, int):
            return httpx2.Response(page, json={"error": {"message": "no"}})
        more = {"next": "https://elsewhere.example/?page=9"} if len(asked) < len(pages) else {}
        return httpx2.Response(200, json={"values": page, **more})

    kind = ForgeKind.BITBUCKET
    known = MemoryConnections(Connection(id="c", kind=kind, api_url=BASE_URL, token="t"))
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(server)) as client:
        inquiry = Inquiry(known, client, AppTokens(client, lambda: 1.0), now=lambda: time[0])
        told = await inquiry.open_pulls(CLOUD_REPO)
        for seconds in again_after:
            time[0] += seconds
            assert await inquiry.open_pulls(CLOUD_REPO) == told
        return told, asked


def on_cloud(number, **fields):
    kind = ForgeKind.BITBUCKET
    return {**ANSWERS[kind][PULL[kind]], "id": number, "title": f"Change {number}", **fields}


def source_of(branch="x", commit=HEAD[:12], repository=UUIDS[2]):
    there = None if repository is None else {"uuid": f"{{{repository}}}", "full_name": "sam/shop"}
    return {
        "branch": {"name": branch},
        "commit": None if commit is None else {"hash": commit},
        "repository": there,
    }


async def test_cloud_lists_page_by_page_with_ids_as_it_cuts_them():
    pages = [
        [
            on_cloud(7, draft=True),
            on_cloud(9, source=source_of("a..b")),
            on_cloud(10, source=source_of(commit=None)),
            on_cloud(11, source=source_of(repository=None)),
            on_cloud(12, source=source_of(commit="--all")),
        ],
        [on_cloud(8, source=source_of(repository=UUIDS[1]))],
    ]
    found, asked = await of_cloud(pages)
    assert [one.pull_request.number for one in found] == [7, 8]
    assert {url.host for url in asked} == {httpx2.URL(BASE_URL).host}
    first = found[0]
    assert (first.ref, first.commit) == ("refs/pull-requests/7/from", HEAD[:12])
    request = first.pull_request
    assert (request.action, request.base_ref, request.head_ref) == ("", "main", "x")
    assert (request.is_fork, request.head_repo, request.is_draft) == (True, UUIDS[2], True)
    assert not found[1].pull_request.is_fork


async def test_cloud_that_is_away_lists_nothing():
    assert isinstance((await of_cloud([[on_cloud(7)], 503]))[0], Later)
    assert isinstance((await of_cloud([403]))[0], Refused)


async def test_cloud_is_asked_for_its_list_once_an_hour_for_its_calls_are_counted():
    _, asked = await of_cloud([[on_cloud(7)]], again_after=(1_800.0, 1_799.0))
    assert len(asked) == 1
    _, asked = await of_cloud([[on_cloud(7)]], again_after=(3_600.0,))
    assert len(asked) == 2
