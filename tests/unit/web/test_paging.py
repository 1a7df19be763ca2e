"""Lists that may be long come page by page: all of it, in one order, and nothing twice."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.access import Token
from ci_host.api.paging import PLACE_CHARS_MAX, page_of
from ci_host.api.secrets import place_of
from ci_host.cli.client import Client
from ci_host.envelopes import StoredSecret
from ci_host.secret_ports import NamedScope
from pipelines.announcement import Subscription
from pipelines.repo import Repo
from pipelines.secret import Scope
from tests.web.told_runs import waiting_run
from tests.web.visitor import check
from tests.web.world import NOW, World

pytestmark = pytest.mark.anyio

LISTS = {
    "repos": "/api/v1/repos",
    "tokens": "/api/v1/tokens",
    "secrets": "/api/v1/secrets",
    "gates": "/api/v1/gates",
    "subscriptions": "/api/v1/subscriptions",
    "runners": "/api/v1/runners/registered",
}


async def peopled(world: World) -> None:
    """Several of everything; some have one name, or one moment."""
    for number, name in enumerate(("me/shop", "me/bank", "me/shop", "me/x y")):
        id_ = f"tea/{number}"
        world.catalog.registered.append(
            Repo(
                id=id_, connection="tea", external_id=str(number), name=name, clone_url="https://x"
            )
        )
        token = Token(digest=f"{number}" * 64, name=name, created_at=NOW)
        world.directory.tokens[token.digest] = token
        made = Subscription(id=f"s{number}", url="https://x", secrets=[], created_at=NOW)
        world.directory.subscriptions[made.id] = made
        scope = Scope(repo="tea/7", environment="" if number == 0 else f"e{number}")
        await world.services.secrets.put(NamedScope(name="KEY", scope=scope), "value of it", "ada")
        await world.services.registrations.invite(
            "default", "ada", name=f"r{number}", is_single=False, good_for_s=60
        )
        await waiting_run(world, number + 1)


async def listed(world: World, name: str, query: str = "") -> dict[str, Any]:
    answer = await check(world, f"{LISTS[name]}{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("name", LISTS)
async def test_pages_of_whatever_size_are_the_whole_list(world: World, name: str) -> None:
    await peopled(world)
    whole = await listed(world, name)
    assert whole["next"] is None and len(whole[name]) >= 4
    for limit in (1, 2, len(whole[name]) - 1, len(whole[name])):
        found, pages, following = [], 0, ""
        while following is not None:
            word = "before" if name == "runners" else "after"
            page = await check(world, LISTS[name], params={"limit": limit, word: following})
            found += page.json()[name]
            following, pages = page.json()["next"], pages + 1
            assert pages <= 10, "it does not end"
        assert found == whole[name]
        # Of gates nobody knows whether there are more, before they are asked for.
        more = name == "gates" and len(found) % limit == 0
        assert pages == -(-len(found) // limit) + more


async def test_who_comes_and_goes_between_two_pages_moves_nobody(world: World) -> None:
    await peopled(world)
    whole = (await listed(world, "tokens"))["tokens"]
    first = await listed(world, "tokens", "?limit=3")
    assert first["tokens"] == whole[:3]
    # The one that the place was made of goes, one before it comes, and one behind.
    for digest, one in list(world.directory.tokens.items()):
        if one.id == whole[2]["id"]:
            del world.directory.tokens[digest]
    for name in ("aaa", "zoe"):
        made = Token(digest=name * 10, name=name, created_at=NOW)
        world.directory.tokens[made.digest] = made
    page = await check(world, LISTS["tokens"], params={"after": first["next"]})
    names = [one["name"] for one in page.json()["tokens"]]
    assert names == [*(one["name"] for one in whole[3:]), "zoe"]


@pytest.mark.parametrize("place", ["x", "1 2 3", "nan 1-0 x", f"1 1-{'0' * 20} {'9' * 10}"])
async def test_what_is_no_place_among_gates_is_refused(world: World, place: str) -> None:
    answer = await check(world, LISTS["gates"], params={"after": place})
    assert (answer.status_code, answer.json()["title"]) == (422, "No such place")


def test_a_place_that_is_gone_is_a_place_still() -> None:
    page = page_of(["c", "a", "b", "e"], str, "d", 10)
    assert (page.found, page.next) == (["e"], None)
    page = page_of(["c", "a", "b", "e"], str, "d", 2, is_backwards=True)
    assert (page.found, page.next) == (["c", "b"], "b")


SCOPES = st.builds(
    Scope,
    **dict.fromkeys(
        ("repo", "org", "environment", "pool"), st.text('a "', max_size=3) | st.just("a" * 1_500)
    ),
)


@given(st.sets(st.tuples(st.sampled_from(["A", "AB", "B"]), SCOPES)), st.integers(1, 4))
def test_every_secret_is_on_one_page_whatever_tells_it_apart(
    named: set[tuple[str, Scope]], limit: int
) -> None:
    kept = [
        StoredSecret(name=name, scope=scope, version=1, at=0, by="", key="", nonce=b"", sealed=b"")
        for name, scope in named
    ]
    found: list[StoredSecret] = []
    following: str | None = ""
    while following is not None:
        assert len(following) <= PLACE_CHARS_MAX
        page = page_of(kept, place_of, following, limit)
        found += page.found
        following = page.next
    assert [one.name for one in found] == sorted(one.name for one in kept)
    assert {(one.name, one.scope) for one in found} == named and len(found) == len(kept)


async def test_secrets_of_repositories_of_one_name_are_all_listed(world: World) -> None:
    """Two forges have me/shop."""
    shop = world.directory.repos["tea/7"]
    for connection in ("git", "hub"):
        other = msgspec.structs.replace(shop, id=f"{connection}/7", connection=connection)
        world.directory.repos[other.id] = other
    for repo in ("tea/7", "git/7", "hub/7"):
        named = NamedScope(name="KEY", scope=Scope(repo=repo))
        await world.services.secrets.put(named, "value of it", "ada")
    first = await listed(world, "secrets", "?limit=1")
    pages, following = [first], first["next"]
    while following is not None:
        page = await check(world, LISTS["secrets"], params={"limit": 1, "after": following})
        pages.append(page.json())
        following = page.json()["next"]
    assert [one["repo"] for page in pages for one in page["secrets"]] == ["me/shop"] * 3


class Things(BaseHTTPRequestHandler):
    """A list in three pages."""

    pages: ClassVar = {"": ["a", "b"], "b x": ["c"], "c": []}
    following: ClassVar = {"": "b x", "b x": "c", "c": None}

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        place = query.get("before", [""])[0]
        told = {"things": self.pages[place], "next": self.following[place]}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *_given: object) -> None:
        pass


def test_a_command_reads_a_list_to_its_end() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Things) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = Client(f"http://127.0.0.1:{server.server_port}", "t")
        assert client.all("/things", "things", "before") == ["a", "b", "c"]
        server.shutdown()
