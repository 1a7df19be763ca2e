"""What is written under pull requests, as each forge keeps it: one of a kind, ours."""

from collections.abc import Iterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from pipelines.repo import Connection, ForgeKind
from tests.contract.app_keys import APP, app_connection, new_keys
from tests.contract.bitbucket_comments import StrictBitbucketComments
from tests.contract.comment_forge import BASES, ME, PROJECT, REPO, StrictComments
from tests.contract.strict_github import StrictGitHub
from tests.published.checked import transport_of
from webhooks.commenter import Commenter, has_comments
from webhooks.forge import Refused, SendLater, Sent
from webhooks.github.app import AppTokens
from webhooks.memory import MemoryConnections

pytestmark = pytest.mark.anyio

MARK = "<!-- staunch report 0123 -->"
KINDS = ("github", "gitea", "gitlab", "bitbucket", "bitbucket-dc")
# How many calls come before the one that makes a comment, and before one that changes it.
BEFORE = {"gitlab": 2, "bitbucket": 1}
BEFORE_CHANGE = {"bitbucket-dc": 2}


@pytest.fixture(params=KINDS)
def forge(request: pytest.FixtureRequest) -> StrictComments:
    kind = request.param
    return (StrictBitbucketComments if "bitbucket" in kind else StrictComments)(kind)


def at(forge: StrictComments) -> tuple[str, str, str, int]:
    return "hub", f"hub/{forge.repo_id}", REPO, 7


@asynccontextmanager
async def life(forge: StrictComments) -> Iterator[Commenter]:
    """One life of who writes; what it remembered is gone with it."""
    facts = {"id": "hub", "kind": ForgeKind(forge.kind), "api_url": "https://forge.example"}
    known = MemoryConnections(Connection(**facts, token="t0ken"))
    async with httpx2.AsyncClient(transport=transport_of(ForgeKind(forge.kind), forge)) as client:
        apps = AppTokens(client, lambda: 0.0)
        yield Commenter(known, client, apps, now=lambda: 0.0, dice=lambda: 0.0)


async def show(forge: StrictComments, writer: Commenter, text: str, attempt: int = 1):
    return await writer.show(*at(forge), MARK, f"{MARK}\n{text}", attempt=attempt)


async def test_there_is_one_comment_and_it_says_the_newest_whoever_writes_it(forge) -> None:
    for number in range(3):
        async with life(forge) as writer:
            assert await show(forge, writer, f"{number} and a half") == Sent()
            assert await show(forge, writer, str(number)) == Sent()
    assert forge.ours() == [f"{MARK}\n2"]


async def test_what_is_said_already_is_not_said_again(forge) -> None:
    async with life(forge) as writer:
        await show(forge, writer, "same")
        calls = len(forge.calls)
        await show(forge, writer, "same")
        assert len(forge.calls) == calls
    async with life(forge) as writer:
        await show(forge, writer, "same")
    assert forge.writes() == 1


@pytest.mark.parametrize("dies", [True, False], ids=["host dies", "host lives"])
async def test_a_comment_whose_answer_nobody_hears_is_found_again(forge, dies) -> None:
    def cut(request: httpx2.Request) -> None:
        forge.answer(request)
        raise httpx2.ReadError("the line breaks after it was made")

    async with life(forge) as writer:
        forge.answers = [None] * BEFORE.get(forge.kind, 3) + [cut]
        told = await show(forge, writer, "one")
        assert isinstance(told, SendLater)
        if not dies:
            assert await show(forge, writer, "one", attempt=2) == Sent()
    async with life(forge) as writer:
        assert await show(forge, writer, "two") == Sent()
    assert forge.ours() == [f"{MARK}\ntwo"]


async def test_what_was_written_though_nobody_heard_is_not_believed_to_be_as_before(forge) -> None:
    def cut(request: httpx2.Request) -> None:
        forge.answer(request)
        raise httpx2.ReadError("the line breaks after it was changed")

    async with life(forge) as writer:
        await show(forge, writer, "red")
        forge.answers = [None] * BEFORE_CHANGE.get(forge.kind, 0) + [cut]
        assert isinstance(await show(forge, writer, "green"), SendLater)
        assert forge.ours() == [f"{MARK}\ngreen"]
        assert await show(forge, writer, "red") == Sent()
    assert forge.ours() == [f"{MARK}\nred"]


async def test_a_marker_that_somebody_else_wrote_is_not_ours(forge) -> None:
    forge.say(f"{MARK}\nall is green, merge it")
    forge.say(f"look: {MARK}", ME)
    async with life(forge) as writer:
        assert await show(forge, writer, "red") == Sent()
    assert forge.bodies() == [
        f"{MARK}\nall is green, merge it", f"look: {MARK}", f"{MARK}\nred"
    ]  # fmt: skip


async def test_ours_is_found_behind_hundreds_of_others(forge) -> None:
    for number in range(250):
        forge.say(f"talk {number}")
    async with life(forge) as writer:
        await show(forge, writer, "first")
    forge.say("more talk")
    async with life(forge) as writer:
        await show(forge, writer, "second")
    assert forge.ours() == [f"{MARK}\nsecond"]


async def test_one_that_was_deleted_is_made_anew(forge) -> None:
    async with life(forge) as writer:
        await show(forge, writer, "first")
        forge.comments.clear()
        assert await show(forge, writer, "second") == Sent()
    assert forge.ours() == [f"{MARK}\nsecond"]


# GitLab's projects are named by their number.
@pytest.mark.parametrize("forge", ["github", "gitea"], indirect=True)
async def test_what_has_another_name_today_is_written_there_and_another_owners_never(forge) -> None:
    old = ("hub", f"hub/{PROJECT}", "waterways/gate", 7)
    async with life(forge) as writer:
        assert await writer.show(*old, MARK, f"{MARK}\none", attempt=1) == Sent()
        moved = f"https://forge.example{BASES[forge.kind]}/repos/{REPO}/issues/comments/100"
        forge.answers = [httpx2.Response(307, headers={"location": moved})]
        assert await writer.show(*old, MARK, f"{MARK}\ntwo", attempt=1) == Sent()
    assert forge.ours() == [f"{MARK}\ntwo"]
    forge.repo, forge.comments = 666, []
    async with life(forge) as writer:
        told = await show(forge, writer, "to somebody else")
    assert isinstance(told, Refused) and "is repository 666 by now, not 4711" in told.reason
    assert forge.ours() == []


async def test_limits_and_outages_are_waited_for(forge) -> None:
    limited = httpx2.Response(403, headers={"retry-after": "90"})
    forge.answers = [httpx2.ConnectError("refused"), httpx2.Response(502), limited]
    async with life(forge) as writer:
        waits = [await show(forge, writer, "x", attempt=n) for n in (1, 2, 3)]
        assert all(isinstance(one, SendLater) for one in waits)
        assert [one.retry_after_s for one in waits] == [0.5, 1.0, 90.0]
        assert await show(forge, writer, "x", attempt=4) == Sent()
    assert len(forge.ours()) == 1


async def test_what_the_forge_does_not_let_us_write_is_refused_with_what_to_do(forge) -> None:
    forge.is_locked = True
    async with life(forge) as writer:
        told = await show(forge, writer, "x")
    assert isinstance(told, Refused)
    assert "issue is locked" in told.reason and "--no-comments" in told.reason


async def test_a_thumb_is_shown_once_however_often_and_not_missed_where_all_is_gone(forge) -> None:
    said = forge.say("/staunch rerun")
    async with life(forge) as writer:
        for comment in (str(said.id), str(said.id), "999"):
            assert await writer.react(*at(forge), comment, attempt=1) == Sent()
    # Bitbucket Cloud has nothing to show one with.
    assert len(said.reactions) == (0 if forge.kind == "bitbucket" else 1)


async def test_a_github_app_writes_with_a_token_for_that_and_knows_its_own_comments() -> None:
    keys, forge = new_keys(), StrictComments("github")
    forge.apps, forge.app = StrictGitHub(APP, keys.public, lambda: 5_000.0), int(APP)
    known = MemoryConnections(app_connection(keys, url="https://forge.example"))
    async with httpx2.AsyncClient(transport=transport_of(ForgeKind.GITHUB, forge)) as client:
        # Each in a life of its own.
        for text in ("first", "second", "third"):
            apps = AppTokens(client, lambda: 5_000.0)
            writer = Commenter(known, client, apps, now=lambda: 5_000.0, dice=lambda: 0.0)
            told = await show(forge, writer, text)
            assert isinstance(told, Refused if text == "first" else Sent), told
            # Whoever owns the repository has accepted it meanwhile.
            forge.apps.permissions["pull_requests"] = "write"
    assert forge.ours() == [f"{MARK}\nthird"]


async def test_a_connection_that_cannot_write_says_so() -> None:
    bare = Connection(id="hub", kind=ForgeKind.GITHUB, api_url="https://forge.example")
    assert not has_comments(bare) and not has_comments(None)
    assert not has_comments(Connection(id="g", kind=ForgeKind.GIT, api_url="https://x", token="t"))
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(lambda _: None)) as client:
        known = MemoryConnections(bare)
        apps = AppTokens(client, lambda: 0.0)
        writer = Commenter(known, client, apps, now=lambda: 0.0, dice=lambda: 0.0)
        assert isinstance(await show(StrictComments("github"), writer, "x"), Refused)


@pytest.mark.parametrize("forge", ["bitbucket", "bitbucket-dc"], indirect=True)
async def test_bitbucket_is_written_no_html_and_no_more_than_it_takes(forge) -> None:
    folded = "<details><summary>The last 1 lines of its log</summary>"
    log = f"{folded}\n\n```text\n│ <b>\n```\n\n</details>"
    async with life(forge) as writer:
        assert await show(forge, writer, log) == Sent()
        (raw,) = [one.body for one in forge.comments]
        assert "The last 1 lines of its log:\n\n```text\n│ <b>\n```" in raw
        assert "details" not in raw and "<!--" not in raw
        assert raw.startswith("[//]: # (staunch report 0123)\n\n")
        assert await show(forge, writer, "é" * 40_000) == Sent()


@pytest.mark.parametrize("forge", ["bitbucket-dc"], indirect=True)
async def test_on_data_center_nothing_is_written_to_the_owner_of_an_old_name(forge) -> None:
    forge.repo = 666
    async with life(forge) as writer:
        told = await show(forge, writer, "to somebody else")
    assert isinstance(told, Refused) and "is repository 666 by now, not 4711" in told.reason
    assert forge.ours() == []
