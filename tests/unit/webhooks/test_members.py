"""What an account may do on its forge: the answers, also those that are not to be believed."""

import json

import httpx2
import pytest

from pipelines.repo import Connection, ForgeKind, Repo
from tests.published.checked import transport_of
from webhooks.forge import Account, Later, Permission, Refused
from webhooks.github.app import AppTokens
from webhooks.members import Members
from webhooks.oauth import account_of, challenge_of, login_place

pytestmark = pytest.mark.anyio

ADA = Account(id="11", login="ada")
API = {
    ForgeKind.GITHUB: "https://api.github.com",
    ForgeKind.GITEA: "https://tea.test",
    ForgeKind.GITLAB: "https://lab.test",
}


def connection(kind: ForgeKind, **more: str) -> Connection:
    return Connection(id="it", kind=kind, api_url=API.get(kind, "https://x.test"), **more)


class Forge:
    """Answers each path with what it was told to; `asked` are the URLs."""

    def __init__(self, **answers: object) -> None:
        self.answers = answers
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        for name, answer in self.answers.items():
            if request.url.path.endswith(name.replace("__", "/")):
                if isinstance(answer, int):
                    return httpx2.Response(answer)
                return httpx2.Response(200, content=json.dumps(answer).encode())
        return httpx2.Response(404)


class Known:
    def __init__(self, one: Connection) -> None:
        self._one = one

    def find(self, _connection_id: str) -> Connection | None:
        return self._one


async def permission(forge: Forge, kind: ForgeKind, *, token: str = "t", name: str = "acme/shop"):
    repo = Repo(id="it/7", connection="it", external_id="7", name=name, clone_url="u")
    async with httpx2.AsyncClient(transport=transport_of(kind, forge)) as client:
        apps = AppTokens(client, lambda: 0.0)
        members = Members(Known(connection(kind, token=token)), client, apps, now=lambda: 0.0)
        return await members.permission(repo, ADA)


BY_NAME = [ForgeKind.GITHUB, ForgeKind.GITEA]


@pytest.mark.parametrize("kind", BY_NAME)
@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        *(("admin", "admin"), ("owner", "admin"), ("write", "write"), ("maintain", "write")),
        *(("triage", "read"), ("read", "read"), ("none", "none"), ("something new", "none")),
    ],
)
async def test_a_word_of_the_forge_is_a_permission_here(kind, word, wanted):
    forge = Forge(shop={"id": 7}, permission={"permission": word, "user": {"id": 11}})
    assert await permission(forge, kind) is Permission(wanted)


@pytest.mark.parametrize("kind", BY_NAME)
@pytest.mark.parametrize(
    "answers",
    [
        {"shop": {"id": 8}, "permission": {"permission": "admin", "user": {"id": 11}}},
        {"shop": {"id": 7}, "permission": {"permission": "admin", "user": {"id": 12}}},
        {"shop": {"id": 7}, "permission": {"permission": "admin"}},
        {"shop": {"id": 7}, "permission": 403},
        {"shop": 404},
        {"shop": [1], "permission": {"permission": "admin", "user": {"id": 11}}},
        {"shop": {"id": 7}, "permission": "admin"},
    ],
    ids=["repository", "account", "nobody", "forbidden", "gone", "a list", "a word"],
)
async def test_an_answer_about_something_else_is_no_permission(kind, answers):
    assert isinstance(await permission(Forge(**answers), kind), Refused)


@pytest.mark.parametrize("kind", BY_NAME)
async def test_a_name_that_would_lead_elsewhere_is_not_asked_about(kind):
    forge = Forge(shop={"id": 7})
    assert isinstance(await permission(forge, kind, name="../../user"), Refused)
    assert forge.asked == []


@pytest.mark.parametrize(
    ("member", "wanted"),
    [
        ({"id": 11, "access_level": 10, "state": "active"}, "none"),
        ({"id": 11, "access_level": 20, "state": "active"}, "read"),
        ({"id": 11, "access_level": 30, "state": "active"}, "write"),
        ({"id": 11, "access_level": 40, "state": "active"}, "admin"),
        ({"id": 11, "access_level": 50, "state": "active"}, "admin"),
        ({"id": 11, "access_level": 50, "state": "blocked"}, "none"),
        ({"id": 11, "access_level": 50}, "none"),
        ({"id": 12, "access_level": 50, "state": "active"}, "none"),
    ],
    ids=["guest", "reporter", "developer", "maintainer", "owner", "blocked", "no state", "another"],
)
async def test_a_role_of_gitlab_is_a_permission_here(member, wanted):
    forge = Forge(projects__7__members__all__11=member)
    assert await permission(forge, ForgeKind.GITLAB) is Permission(wanted)


@pytest.mark.parametrize("kind", list(API))
async def test_a_forge_that_is_down_is_asked_later_and_one_without_a_token_never(kind):
    down = Forge(**{"shop": 502, "11": 502})
    assert isinstance(await permission(down, kind), Later)
    unasked = Forge()
    assert isinstance(await permission(unasked, kind, token=""), Refused)
    assert unasked.asked == []


async def test_other_forges_say_nothing():
    for kind in set(ForgeKind) - set(API):
        assert isinstance(await permission(Forge(), kind), Refused)
        assert login_place(connection(kind, oauth_client_id="a", oauth_client_secret="b")) is None


def test_nobody_logs_in_where_no_application_is_known() -> None:
    for kind in API:
        assert login_place(connection(kind, oauth_client_id="a")) is None
        place = login_place(connection(kind, oauth_client_id="a", oauth_client_secret="b"))
        assert place is not None
        assert place.authorize.startswith("https://")
    public = login_place(connection(ForgeKind.GITHUB, oauth_client_id="a", oauth_client_secret="b"))
    assert public is not None
    assert public.authorize == "https://github.com/login/oauth/authorize"


def test_the_challenge_is_that_of_the_standard() -> None:
    # RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize(
    ("granted", "user"),
    [
        ({"error": "bad_verification_code"}, {"id": 11, "login": "ada"}),
        ({}, {"id": 11, "login": "ada"}),
        ({"access_token": "a"}, {"id": 0, "login": "ada"}),
        ({"access_token": "a"}, {"id": 11, "login": ""}),
        ({"access_token": "a"}, {"id": 11, "login": "@ops"}),
        ({"access_token": "a"}, {"id": 11, "login": "ada@github"}),
        ({"access_token": "a"}, {"id": "11", "login": "ada"}),
        ({"access_token": "a"}, 401),
        ([], {"id": 11, "login": "ada"}),
    ],
    ids=["error", "no token", "no id", "no login", "a team", "two", "a text", "unknown", "a list"],
)
async def test_an_answer_that_names_nobody_lets_nobody_in(granted, user):
    known = connection(ForgeKind.GITHUB, oauth_client_id="a", oauth_client_secret="b")
    place = login_place(known)
    assert place is not None
    forge = Forge(access_token=granted, user=user)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(forge)) as client:
        sent = {"code": "c", "verifier": "v", "redirect_uri": "https://us.test/"}
        told = await account_of(client, known, place, 0.0, **sent)
    assert isinstance(told, Refused)
    # The client's secret goes to the token endpoint of the forge, and nowhere else.
    hosts = {one.url.host for one in forge.asked if b"client_secret" in one.content}
    assert hosts == {"github.com"}
