"""Having forges call us: what is asked of their APIs, and that asking twice makes one webhook."""

import json

import httpx2
import pytest

from pipelines.repo import Connection, ForgeKind
from tests.published.checked import transport_of
from webhooks.forge import FoundRepo, Later, MadeHook, Refused, Tried
from webhooks.hook_of_repo import secret_of
from webhooks.setup import NoPlace, Place, place_of, setup_of

pytestmark = pytest.mark.anyio

URL = "https://ci.example/hooks/forge/7"
REPOS = {
    ForgeKind.GITHUB: (
        "/repos/acme/shop",
        {
            "id": 7,
            "full_name": "acme/shop",
            "clone_url": "https://forge.example/acme/shop.git",
            "default_branch": "main",
            "permissions": {"admin": True, "push": True},
        },
    ),
    ForgeKind.GITEA: (
        "/api/v1/repos/acme/shop",
        {
            "id": 7,
            "full_name": "acme/shop",
            "clone_url": "https://forge.example/acme/shop.git",
            "default_branch": "main",
            "permissions": {"admin": True},
        },
    ),
    ForgeKind.GITLAB: (
        "/api/v4/projects/acme%2Fshop",
        {
            "id": 7,
            "path_with_namespace": "acme/shop",
            "http_url_to_repo": "https://forge.example/acme/shop.git",
            "default_branch": "main",
            "permissions": {"project_access": {"access_level": 40}, "group_access": None},
        },
    ),
}
HOOKS = {
    ForgeKind.GITHUB: "/repos/acme/shop/hooks",
    ForgeKind.GITEA: "/api/v1/repos/acme/shop/hooks",
    ForgeKind.GITLAB: "/api/v4/projects/7/hooks",
}
TESTS = {
    ForgeKind.GITHUB: "/repos/acme/shop/hooks/1/pings",
    ForgeKind.GITEA: "/api/v1/repos/acme/shop/hooks/1/tests",
    ForgeKind.GITLAB: "/api/v4/projects/7/hooks/1/test/push_events",
}
KINDS = sorted(REPOS)
FOUND = FoundRepo("7", "acme/shop", "https://forge.example/acme/shop.git", "main", may_hook=True)


class HookForge:
    """A forge's API of webhooks in memory. `hooks` are those that there are, by id."""

    def __init__(self, kind: ForgeKind) -> None:
        self.kind = kind
        self.hooks: dict[int, dict] = {}
        self.tests = 0
        self.answers: dict[str, httpx2.Response] = {}
        self.deliveries: list[dict] = [{"event": "ping", "status": "OK", "status_code": 200}]

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        if path in self.answers:
            return self.answers[path]
        name, repo = REPOS[self.kind]
        hooks = HOOKS[self.kind]
        if path == name:
            return httpx2.Response(200, json=repo)
        if path == hooks and request.method == "GET":
            return httpx2.Response(200, json=[{"id": one, **it} for one, it in self.hooks.items()])
        if path == hooks and request.method == "POST":
            self.hooks[len(self.hooks) + 1] = json.loads(request.content)
            return httpx2.Response(201, json={"id": len(self.hooks)})
        if path.startswith(f"{hooks}/") and request.method in ("PATCH", "PUT"):
            one = int(path.rpartition("/")[2])
            self.hooks[one] = {**self.hooks[one], **json.loads(request.content)}
            return httpx2.Response(200, json={"id": one})
        if path == TESTS[self.kind] and request.method == "POST":
            self.tests += 1
            if self.kind is ForgeKind.GITLAB:
                return httpx2.Response(201, json={"message": "201 Created"})
            return httpx2.Response(204)
        if path == f"{hooks}/1/deliveries":
            return httpx2.Response(200, json=self.deliveries)
        return httpx2.Response(404, json={"message": "Not Found"})


async def asked(forge: HookForge, act):
    connection = Connection(
        id="forge", kind=forge.kind, api_url="https://forge.example", token="t0ken"
    )
    async with httpx2.AsyncClient(transport=transport_of(forge.kind, forge)) as client:
        return await act(setup_of(connection, client, 1.0))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_repository_is_found_by_its_name_with_what_the_token_may(kind):
    forge = HookForge(kind)
    assert await asked(forge, lambda setup: setup.look_up("acme/shop")) == FOUND
    forge.answers[REPOS[kind][0]] = httpx2.Response(404, json={"message": "Not Found"})
    told = await asked(forge, lambda setup: setup.look_up("acme/shop"))
    assert isinstance(told, Refused)
    assert "may not see it" in told.reason
    forge.answers[REPOS[kind][0]] = httpx2.Response(503)
    assert isinstance(await asked(forge, lambda setup: setup.look_up("acme/shop")), Later)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_webhook_is_made_once_and_then_brought_up_to_date(kind):
    forge = HookForge(kind)
    other = {"url": "https://other.example/hook", "config": {"url": "https://other.example/hook"}}
    forge.hooks[1] = other
    made = await asked(forge, lambda setup: setup.make_hook(FOUND, URL, "s3cret"))
    assert made == MadeHook("2", is_new=True)
    again = await asked(forge, lambda setup: setup.make_hook(FOUND, URL, "rotated"))
    assert again == MadeHook("2", is_new=False)
    assert len(forge.hooks) == 2
    assert forge.hooks[1] == other
    ours = forge.hooks[2]
    if kind is ForgeKind.GITLAB:
        assert (ours["url"], ours["token"]) == (URL, "rotated")
        assert ours["merge_requests_events"] and ours["releases_events"]
        assert ours["note_events"]
        assert ours["enable_ssl_verification"]
    else:
        assert ours["config"]["url"] == URL
        assert ours["config"]["secret"] == "rotated"
        assert ours["config"]["content_type"] == "json"
        comments = {ForgeKind.GITHUB: "issue_comment", ForgeKind.GITEA: "pull_request_comment"}
        assert {"push", "pull_request", "release", comments[kind]} <= set(ours["events"])


@pytest.mark.parametrize("kind", KINDS)
async def test_the_webhook_of_before_is_given_the_repositorys_own_url_and_no_second_is_made(kind):
    forge, older = HookForge(kind), URL.rpartition("/")[0]
    forge.hooks[1] = {"url": older, "config": {"url": older}}
    made = await asked(forge, lambda setup: setup.make_hook(FOUND, URL, "s3cret"))
    assert made == MadeHook("1", is_new=False)
    assert URL in (forge.hooks[1].get("url"), forge.hooks[1]["config"]["url"])


async def test_a_signing_token_is_given_to_gitlab_to_sign_with_and_not_to_send():
    forge, token = HookForge(ForgeKind.GITLAB), secret_of("whsec_" + "A" * 43 + "=", "7")
    await asked(forge, lambda setup: setup.make_hook(FOUND, URL, token))
    assert forge.hooks[1]["signing_token"] == token
    assert "token" not in forge.hooks[1]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_webhook_is_tried_and_the_forges_word_is_told(kind):
    forge = HookForge(kind)
    told = await asked(forge, lambda setup: setup.test(FOUND, MadeHook("1", is_new=True)))
    assert isinstance(told, Tried)
    assert forge.tests == 1
    assert told.arrived is (None if kind is ForgeKind.GITEA else True)


async def test_a_call_that_did_not_arrive_is_told_as_such():
    forge = HookForge(ForgeKind.GITHUB)
    forge.deliveries = [{"event": "ping", "status": "failed to connect", "status_code": 0}]
    hook = MadeHook("1", is_new=True)
    told = await asked(forge, lambda setup: setup.test(FOUND, hook))
    assert told == Tried(False, "GitHub's ping was answered with failed to connect")
    forge = HookForge(ForgeKind.GITLAB)
    refused = httpx2.Response(422, json={"message": "Hook execution failed: timed out"})
    forge.answers[TESTS[ForgeKind.GITLAB]] = refused
    told = await asked(forge, lambda setup: setup.test(FOUND, hook))
    assert told.arrived is False
    assert "Hook execution failed: timed out" in told.words


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ForgeKind.GITHUB, {"permissions": {"admin": False}}),
        (ForgeKind.GITEA, {"permissions": {"admin": False}}),
        (ForgeKind.GITLAB, {"permissions": {"project_access": {"access_level": 30}}}),
    ],
)
async def test_a_token_that_may_change_no_webhooks_is_seen_before_anything_is_done(kind, fields):
    forge = HookForge(kind)
    path, repo = REPOS[kind]
    forge.answers[path] = httpx2.Response(200, json={**repo, **fields})
    found = await asked(forge, lambda setup: setup.look_up("acme/shop"))
    assert found.may_hook is False


@pytest.mark.parametrize(
    ("kind", "url", "api_url", "name"),
    [
        ("github", "https://github.com/acme/shop", "https://api.github.com", "acme/shop"),
        ("github", "https://github.com/acme/shop.git/", "https://api.github.com", "acme/shop"),
        ("github", "https://ghe.example:8443/a/b", "https://ghe.example:8443/api/v3", "a/b"),
        ("gitlab", "https://gitlab.com/a/b/c", "https://gitlab.com", "a/b/c"),
        ("gitea", "http://127.0.0.1:3000/me/shop", "http://127.0.0.1:3000", "me/shop"),
    ],
)
def test_an_address_says_where_the_api_is_and_what_the_repository_is_called(
    kind, url, api_url, name
):
    assert place_of(ForgeKind(kind), url) == Place(api_url, name)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "acme/shop",
        "git@github.com:acme/shop.git",
        "https://github.com/acme",
        "https://tok@github.com/acme/shop",
        "https://github.com/acme/shop?tab=x",
        "https://github.com/acme/sh%0Aop",
        "ftp://github.com/acme/shop",
        "https:///acme/shop",
    ],
)
def test_what_is_no_address_of_a_repository_is_told_with_an_example(url):
    with pytest.raises(NoPlace):
        place_of(ForgeKind.GITHUB, url)
