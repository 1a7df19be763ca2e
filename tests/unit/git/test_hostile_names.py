"""One table of names that mean ill, all the way: from the payload to git, to statuses, to pages."""

import copy
import html
import json
import re

import httpx2
import msgspec
import pytest

from ci_host.adapters.git.source import GitSource
from pipelines.repo import Connection, Delivery, ForgeKind
from pipelines.status import DESCRIPTION_CHARS_MAX, Status, StatusState
from tests.hostile_names import BRANCHES, TEXTS
from tests.payloads import PAYLOADS, event_of, kind_of
from tests.published.checked import transport_of
from tests.web.told_runs import failed_run
from tests.web.visitor import check as visited
from tests.web.world import World as Pages
from webhooks.forge import Sent
from webhooks.memory import MemoryConnections
from webhooks.payload import NAME_CHARS_MAX
from webhooks.registry import parse_delivery
from webhooks.reporter import StatusSender

# Of a push of each forge: where its payload has the ref, who pushed, and what the commit says.
PLACES = {
    "github/push": ("ref", "sender.login", "head_commit.message"),
    "gitea/push": ("ref", "sender.login", "head_commit.message"),
    "gitlab/push": ("ref", "user_username", "commits.1.message"),
    "bitbucket/push": ("push.changes.0.new.name", "actor.nickname",
                       "push.changes.0.new.target.message"),
    "bitbucket_dc/push": ("changes.0.refId", "actor.name", "toCommit.message"),
    "git/push_forced": ("changes.0.ref", "pusher", "changes.0.message"),
}  # fmt: skip
PIPELINE = "async def run(event, step): ...\n"
NUMBERS = range(max(len(BRANCHES), len(TEXTS)))
UUID = "8d3e1c7a-0b52-4f6e-9a41-5c2d7e90f1b3"


def named(number):
    """A branch and a text, by a number: the names themselves would be no good names of tests."""
    return BRANCHES[number % len(BRANCHES)], TEXTS[number % len(TEXTS)]


def pushed(name, ref, text):
    """The event of a push, as it comes out of the inbox."""
    payload = copy.deepcopy(PAYLOADS[name])
    where, who, says = PLACES[name]
    short = ref.removeprefix("refs/heads/")
    for path, value in (
        (where, short if where.endswith("name") else ref),
        (who, text),
        (says, text),
    ):
        *parents, last = path.split(".")
        place = payload
        for key in parents:
            place = place[int(key) if key.isdigit() else key]
        place[last] = value
    (parsed,) = parse_delivery(
        Delivery(connection="c", id="d", kind=kind_of(name), event=event_of(name), received_at=0.0,
                 body=json.dumps(payload))
    )  # fmt: skip
    return msgspec.json.decode(msgspec.json.encode(parsed.event), type=type(parsed.event))


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", sorted(PLACES))
def test_every_forge_brings_a_name_as_it_is(name, number):
    branch, text = named(number)
    event = pushed(name, f"refs/heads/{branch}", text)
    assert (event.branch, event.message) == (branch, text)
    assert event.sender == text[:NAME_CHARS_MAX]


def test_git_fetches_from_a_branch_and_a_tag_of_any_name_and_runs_nothing(world):
    source = GitSource(world.mirrors)
    for branch in BRANCHES:
        ref = pushed("github/push", f"refs/heads/{branch}", "x").ref
        commit = world.commit({".staunch/pipeline.py": PIPELINE}, branch)
        world.git("push", "-q", "origin", f"{commit}:refs/tags/{branch}")
        for where in (ref, f"refs/tags/{branch}"):
            source.fetch(world.repo, commit, where)
            assert source.tip(world.repo, where) == commit
            assert source.is_on(world.repo, commit, where)
        assert source.bundle(world.repo, commit, ref).files
    assert not list(world.folder.rglob("pwned"))


def test_git_tells_titles_authors_and_files_of_any_name_and_runs_nothing(world):
    before = world.commit({"a": "1"})
    for number, text in enumerate(TEXTS):
        # A file's name has at most 255 bytes, and folders.
        file = text[:200].replace("..", "up").strip("/")
        (world.work / file).parent.mkdir(parents=True, exist_ok=True)
        (world.work / file).write_text("1")
        world.git("add", "-A")
        world.git("-c", f"user.name={text}", "commit", "-q", "--author", f"x{number} <a@b>",
                  "--cleanup=verbatim", "-m", text)  # fmt: skip
        commit = world.push()
        source = GitSource(world.mirrors)
        source.fetch(world.repo, commit, "refs/heads/main")
        assert source.message(world.repo, commit).strip() == text.strip()
        changed = source.changed(world.repo, commit, "refs/heads/main", since=before, base="")
        assert changed == [file]
        before = commit
    assert not list(world.folder.rglob("pwned"))


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [one for one in ForgeKind if one is not ForgeKind.GIT])
async def test_a_status_holds_any_name_within_the_forges_limits(kind):
    heard = []

    def forge(request):
        heard.append(request)
        return httpx2.Response(201, json={})

    connection = Connection(id="c", kind=kind, api_url="https://f.example", token="t")
    async with httpx2.AsyncClient(transport=transport_of(kind, forge)) as client:
        known = MemoryConnections(connection)
        sender = StatusSender(known, client, now=lambda: 1.0, dice=lambda: 0.0)
        for text in (*BRANCHES, *TEXTS):
            heard.clear()
            assert await sender.send(status_of(kind, text)) == Sent()
            # Where it is told is not for a name to say.
            (request,) = [one for one in heard if one.method == "POST"]
            assert (request.url.host, "a" * 40 in request.url.path) == ("f.example", True)
            assert not request.url.query
            said = json.loads(request.content)["description"]
            assert len(said) <= (255 if kind is ForgeKind.GITLAB else DESCRIPTION_CHARS_MAX)
            # On one line.
            assert said.startswith(" ".join(f"{text} failed".split())[:100])


def status_of(kind, text):
    return Status(
        id="s",
        connection="c",
        repo=f"c/{UUID if kind is ForgeKind.BITBUCKET else 1}",
        repo_name="waterways/lock",
        commit="a" * 40,
        context=f"staunch/{text}",
        state=StatusState.FAILURE,
        description=f"{text} failed",
        at=1.0,
        target_url="https://ci.example/runs/1",
    )


@pytest.mark.anyio
async def test_pages_show_any_name_as_text(tmp_path):
    pages = Pages(tmp_path)
    for number in NUMBERS:
        branch, text = named(number)
        story = await failed_run(
            pages, number + 1, message=text, ref=f"refs/heads/{branch}", sender=text
        )
        pages.delivered(f"d-{number}", reason=text)
        shown = (await visited(pages, f"/runs/{story.run}")).text
        assert branch[:40] in html.unescape(shown)
        harmless(shown)
    for path in ("/", "/deliveries"):
        harmless((await visited(pages, path)).text)
    pages.model.close()


def harmless(page):
    """No script but ours, no handler, and no template that was worked out."""
    assert not re.search(r"<script(?![^>]*\bsrc=\"/static)", page)
    markup = re.sub(r'"[^"]*"', '""', re.sub(r">[^<]*<", "><", page))
    assert not re.search(r"\son\w+=", markup)
    assert ">14<" not in page
