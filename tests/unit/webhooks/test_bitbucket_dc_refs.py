import httpx2
import pytest

from pipelines.repo import Connection, ForgeKind, Repo
from webhooks.bitbucket_dc.refs import have_ref_made

REF = "refs/pull-requests/7/from"


def check(
    answer=None, *, ref=REF, name="WATER/lock", token="t0ken", api_url="https://dc.example/b"
):
    """The requests that were made to have a ref made."""
    requests = []

    def server(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer or httpx2.Response(200, json={"values": []})

    connection = Connection(id="dc", kind=ForgeKind.BITBUCKET_DC, api_url=api_url, token=token)
    repo = Repo(id="dc/62", connection="dc", external_id="62", name=name, clone_url="https://dc")
    have_ref_made(connection, repo, ref, transport=httpx2.MockTransport(server))
    return requests


def test_the_server_is_asked_what_the_pull_request_changes():
    (request,) = check()
    assert (request.method, str(request.url)) == (
        "GET",
        "https://dc.example/b/rest/api/latest/projects/WATER/repos/lock/pull-requests/7/changes"
        "?limit=1",
    )
    assert request.headers["authorization"] == "Bearer t0ken"


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(404),
        httpx2.Response(500, content=b"\xff"),
        httpx2.ConnectError("no"),
        httpx2.ReadTimeout("slow"),
    ],
)
def test_whatever_the_server_does_the_fetch_will_tell(answer):
    assert len(check(answer)) == 1


def test_a_redirect_takes_the_token_nowhere():
    moved = httpx2.Response(302, headers={"location": "https://evil.example/"})
    assert [request.url.host for request in check(moved)] == ["dc.example"]


@pytest.mark.parametrize(
    "changes",
    [
        {"ref": "refs/heads/wider"},
        {"ref": "refs/tags/v1"},
        {"ref": "refs/pull-requests/0/from"},
        {"ref": "refs/pull-requests/7/merge"},
        {"ref": "refs/pull-requests/7/from/x"},
        {"ref": "refs/pull-requests/../from"},
        {"name": "lock"},
        {"name": "../lock"},
        {"token": "t€ken"},
        {"api_url": "https://[::1"},
    ],
)
def test_nothing_is_asked_for_any_other_ref_or_without_a_place_to_ask(changes):
    assert check(**changes) == []
