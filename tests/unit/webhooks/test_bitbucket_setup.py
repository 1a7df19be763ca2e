"""Having both Bitbuckets call us: one webhook however often it is asked for, and what is told."""

import json
import re
from urllib.parse import parse_qs

import httpx2
import pytest

from pipelines.repo import Connection, ForgeKind
from webhooks.forge import FoundRepo, Later, MadeHook, Refused, Tried
from webhooks.setup import NoPlace, Place, place_of, setup_of

pytestmark = pytest.mark.anyio

CLOUD, SERVER = ForgeKind.BITBUCKET, ForgeKind.BITBUCKET_DC
URL = "https://ci.example/hooks/forge"
UUID = "8d3e1c7a-0b52-4f6e-9a41-5c2d7e90f1b3"
HOOK = "{7e0c1a7d-0b52-4f6e-9a41-5c2d7e90f1b3}"
PLACE = {CLOUD: "/2.0/repositories/acme/shop", SERVER: "/rest/api/latest/projects/ACME/repos/shop"}
NAME = {CLOUD: "acme/shop", SERVER: "ACME/shop"}
FOUND = {
    CLOUD: FoundRepo(UUID, "acme/shop", "https://bitbucket.example/acme/shop.git", "main"),
    SERVER: FoundRepo("62", "ACME/shop", "https://bitbucket.example/acme/shop.git"),
}
HOOKS = {CLOUD: f"/2.0/repositories/acme/{{{UUID}}}/hooks", SERVER: f"{PLACE[SERVER]}/webhooks"}


class Bitbucket:
    """Either API of webhooks in memory. `answered`: what a ping was answered with; 0: not told."""

    def __init__(self, kind: ForgeKind) -> None:
        self.kind, self.answered = kind, 200
        self.hooks: dict[str, dict] = {}
        self.answers: dict[str, httpx2.Response] = {}
        self.tested: list[dict[str, list[str]]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.headers.get("authorization") != "Bearer t0ken":
            return httpx2.Response(401)
        path, hooks = request.url.path, HOOKS[self.kind]
        if path in self.answers:
            return self.answers[path]
        if path == PLACE[self.kind]:
            return httpx2.Response(200, json=self._repository())
        if path == f"{hooks}/test" and self.kind is SERVER:
            self.tested.append(parse_qs(request.url.query.decode()))
            told = {"response": {"statusCode": self.answered}} if self.answered else {}
            return httpx2.Response(200, json=told)
        one = re.fullmatch(re.escape(hooks) + "(?:/(.+))?", path)
        return httpx2.Response(404) if one is None else self._hook(request, one[1])

    def _repository(self) -> dict:
        clone = [{"href": "ssh://git@x/acme/shop.git", "name": "ssh"}]
        name = "https" if self.kind is CLOUD else "http"
        clone.append({"href": "https://ada@bitbucket.example/acme/shop.git", "name": name})
        more = {"full_name": "acme/shop", "uuid": f"{{{UUID}}}", "mainbranch": {"name": "main"}}
        if self.kind is SERVER:
            more = {"id": 62, "slug": "shop", "project": {"key": "ACME"}}
        return {**more, "links": {"clone": clone}}

    def _hook(self, request: httpx2.Request, one: str | None) -> httpx2.Response:
        if request.method == "GET" and one is None:
            return httpx2.Response(200, json={"values": [*self.hooks.values()]})
        if request.method == "GET" and one in self.hooks:
            return httpx2.Response(200, json=self.hooks[one])
        if request.method == ("PUT" if one else "POST"):
            body = json.loads(request.content)
            identity = one or (HOOK if self.kind is CLOUD else str(len(self.hooks) + 1))
            if not one and len(self.hooks) > 1:
                return httpx2.Response(400, json={"error": {"message": "too many"}})
            key = {"uuid": identity} if self.kind is CLOUD else {"id": int(identity)}
            self.hooks[identity] = {**body, **key}
            return httpx2.Response(200 if one else 201, json=self.hooks[identity])
        return httpx2.Response(404)


async def asked(forge: Bitbucket, act):
    connection = Connection(
        id="it", kind=forge.kind, api_url="https://bitbucket.example", token="t0ken"
    )
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(forge)) as client:
        return await act(setup_of(connection, client, 1.0))


@pytest.mark.parametrize("kind", [CLOUD, SERVER])
async def test_a_repository_is_found_with_an_address_that_names_nobody(kind):
    forge = Bitbucket(kind)
    assert await asked(forge, lambda setup: setup.look_up(NAME[kind])) == FOUND[kind]
    forge.answers[PLACE[kind]] = httpx2.Response(404)
    assert isinstance(await asked(forge, lambda setup: setup.look_up(NAME[kind])), Refused)
    forge.answers[PLACE[kind]] = httpx2.Response(503)
    assert isinstance(await asked(forge, lambda setup: setup.look_up(NAME[kind])), Later)
    for name in ("../admin", "shop", "a/../../user"):
        assert isinstance(await asked(forge, lambda it, name=name: it.look_up(name)), Refused)


@pytest.mark.parametrize("kind", [CLOUD, SERVER])
async def test_a_webhook_is_made_once_and_then_brought_up_to_date(kind):
    forge = Bitbucket(kind)
    first = "{00000000-0b52-4f6e-9a41-5c2d7e90f1b3}" if kind is CLOUD else "1"
    other = {"uuid": first, "id": 1, "url": "https://other.example/hook"}
    forge.hooks[first] = other
    made = await asked(forge, lambda setup: setup.make_hook(FOUND[kind], URL, "s3cret"))
    assert made == MadeHook(HOOK if kind is CLOUD else "2", is_new=True)
    again = await asked(forge, lambda setup: setup.make_hook(FOUND[kind], URL, "rotated"))
    assert again == MadeHook(made.id, is_new=False)
    assert len(forge.hooks) == 2 and forge.hooks[first] == other
    ours = forge.hooks[made.id]
    secret = ours["secret"] if kind is CLOUD else ours["configuration"]["secret"]
    assert (ours["url"], ours["active"], secret) == (URL, True, "rotated")
    wanted = {
        CLOUD: ["repo:push", "pullrequest:created", "pullrequest:updated"],
        SERVER: ["repo:refs_changed", "pr:opened", "pr:from_ref_updated"],
    }
    comment = {CLOUD: "pullrequest:comment_created", SERVER: "pr:comment:added"}
    assert ours["events"] == [*wanted[kind], comment[kind]]


async def test_cloud_tries_no_webhook_and_says_what_is_to_be_seen():
    hook = MadeHook(HOOK, is_new=True)
    told = await asked(Bitbucket(CLOUD), lambda setup: setup.test(FOUND[CLOUD], hook))
    assert isinstance(told, Refused) and "push a commit" in told.reason


@pytest.mark.parametrize(
    ("answered", "wanted"),
    [
        (202, Tried(True, "Bitbucket's ping was answered with 202")),
        (502, Tried(False, "Bitbucket's ping was answered with 502")),
        (401, "signs no ping"),
        (0, "does not say"),
    ],
)
async def test_data_center_pings_the_url_of_this_webhook_and_tells_the_answer(answered, wanted):
    forge = Bitbucket(SERVER)
    forge.answered = answered
    forge.hooks["1"] = {"id": 1, "url": URL}
    told = await asked(forge, lambda it: it.test(FOUND[SERVER], MadeHook("1", is_new=True)))
    assert forge.tested == [{"url": [URL], "webhookId": ["1"]}]
    if isinstance(wanted, Tried):
        assert told == wanted
    else:
        assert isinstance(told, Refused) and wanted in told.reason


async def test_a_ping_that_data_center_could_not_send_did_not_arrive():
    forge = Bitbucket(SERVER)
    forge.hooks["1"] = {"id": 1, "url": URL}
    words = {"errors": [{"message": "Connection refused"}]}
    forge.answers[f"{HOOKS[SERVER]}/test"] = httpx2.Response(400, json=words)
    told = await asked(forge, lambda it: it.test(FOUND[SERVER], MadeHook("1", is_new=True)))
    assert told.arrived is False and "Connection refused" in told.words


@pytest.mark.parametrize(
    ("kind", "url", "api_url", "name"),
    [
        (CLOUD, "https://bitbucket.org/acme/shop", "https://api.bitbucket.org", "acme/shop"),
        (CLOUD, "https://bitbucket.org/acme/shop.git/", "https://api.bitbucket.org", "acme/shop"),
        (SERVER, "https://b.example/projects/ACME/repos/shop", "https://b.example", "ACME/shop"),
        (SERVER, "https://b.example/git/projects/A/repos/s/browse", "https://b.example/git", "A/s"),
        (SERVER, "https://b.example:7990/users/ada/repos/s", "https://b.example:7990", "~ada/s"),
        (SERVER, "https://b.example/scm/acme/shop.git", "https://b.example", "acme/shop"),
        (SERVER, "https://b.example/x/scm/~ada/s.git", "https://b.example/x", "~ada/s"),
    ],
)
def test_an_address_says_where_the_api_is_and_what_the_repository_is_called(
    kind, url, api_url, name
):
    assert place_of(kind, url) == Place(api_url, name)


@pytest.mark.parametrize(
    "path", ["/acme/shop", "/projects/ACME", "/projects/A/repos/s/commits", "/users//repos/s"]
)
def test_what_is_no_address_of_data_center_is_told_with_an_example(path):
    with pytest.raises(NoPlace, match="projects/ACME/repos/shop"):
        place_of(SERVER, f"https://b.example{path}")
