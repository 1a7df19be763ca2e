"""A GitHub App's tokens: asked for with its key, each for one repository and one purpose."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
import msgspec
import pytest

from ci_host.adapters.git.errors import FetchFailed, RepoGone
from ci_host.adapters.git.origin import Origin, origin_of
from ci_host.adapters.git.source import registered
from ci_host.bootstrap.fetch_tokens import RENEWED_AFTER_S, FetchTokens
from pipelines.repo import Connection, Repo
from tests.contract.app_keys import APP, app_connection, new_keys
from tests.contract.strict_github import TOKEN_S, StrictGitHub
from webhooks.forge import Later, Refused
from webhooks.github.app import TOKEN_LEFT_S, AppTokens, Purpose
from webhooks.memory import MemoryConnections

pytestmark = pytest.mark.anyio

LOCK = "waterways/lock"
KEYS = new_keys()
HUB = app_connection(KEYS)


@dataclass
class Stage:
    """GitHub, an App there, and the tokens that it is given, on one clock."""

    now: float = 1_800_000_000.0
    connection: Connection = HUB

    def __post_init__(self) -> None:
        self.github = StrictGitHub(APP, KEYS.public, lambda: self.now)

    @contextmanager
    def tokens(self) -> Iterator[AppTokens]:
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(self.github))
        yield AppTokens(client, lambda: self.now)

    async def asked(self, tokens: AppTokens, repo: str = LOCK, purpose: Purpose = Purpose.CHECKS):
        return await tokens.token(self.connection, repo, purpose)


async def test_a_token_opens_one_repository_and_of_it_what_it_is_for() -> None:
    stage = Stage()
    stage.github.installed["waterways/weir"] = 7
    with stage.tokens() as tokens:
        checks = await stage.asked(tokens)
        fetch = await stage.asked(tokens, purpose=Purpose.FETCH)
    assert isinstance(checks, str) and isinstance(fetch, str) and checks != fetch
    # Nothing of ours says how long a token is.
    assert len(checks) > 600
    granted = stage.github.tokens
    assert granted[checks].repos == granted[fetch].repos == [LOCK]
    assert granted[checks].permissions == {"checks": "write"}
    assert granted[fetch].permissions == {"contents": "read"}


async def test_a_token_is_kept_until_shortly_before_it_expires_and_asked_for_again_then() -> None:
    stage = Stage()
    with stage.tokens() as tokens:
        first = await stage.asked(tokens)
        stage.now += TOKEN_S - TOKEN_LEFT_S - 1.0
        assert await stage.asked(tokens) == first and len(stage.github.calls) == 2
        stage.now += 1.0
        second = await stage.asked(tokens)
    assert second != first
    assert stage.github.tokens[str(second)].expires_at == stage.now + TOKEN_S


async def test_an_app_that_is_installed_anew_is_found_under_its_new_number() -> None:
    stage = Stage()
    with stage.tokens() as tokens:
        await stage.asked(tokens)
        stage.github.installed[LOCK] = 8
        stage.github.tokens.clear()
        tokens.forget(stage.connection, LOCK, Purpose.CHECKS)
        assert isinstance(await stage.asked(tokens), str)
    assert stage.github.calls[-1] == "POST /app/installations/8/access_tokens"


@pytest.mark.parametrize(
    ("change", "code", "advice"),
    [
        ({"app_key": new_keys().private}, 401, "do not belong together"),
        ({"app": "4712"}, 404, "is not installed"),
    ],
    ids=["another key", "another App"],
)
async def test_a_refusal_says_what_to_do_and_shows_no_key(change, code, advice) -> None:
    stage = Stage()
    stage.connection = msgspec.structs.replace(stage.connection, **change)
    with stage.tokens() as tokens:
        told = await stage.asked(tokens)
    assert isinstance(told, Refused)
    assert f"answered {code}" in told.reason and advice in told.reason
    assert "PRIVATE KEY" not in told.reason


async def test_what_the_app_was_not_allowed_there_is_said() -> None:
    stage = Stage()
    stage.github.permissions = {"contents": "read"}
    with stage.tokens() as tokens:
        told = await stage.asked(tokens)
        assert isinstance(told, Refused) and "give it the permission" in told.reason
        assert isinstance(await stage.asked(tokens, "waterways/weir"), Refused)
        assert isinstance(await stage.asked(tokens, "../app"), Refused)


@pytest.mark.parametrize(
    "answer",
    [httpx2.Response(502), httpx2.Response(429), httpx2.Response(200, content=b"[]")],
    ids=["ill", "limited", "senseless"],
)
async def test_a_passing_fault_is_a_later_and_not_remembered(answer) -> None:
    stage = Stage()
    with stage.tokens() as tokens:
        stage.github.answers = [answer]
        assert isinstance(await stage.asked(tokens), Later)
        assert isinstance(await stage.asked(tokens), str)


async def test_a_key_that_is_none_is_refused_without_a_request() -> None:
    stage = Stage()
    stage.connection = msgspec.structs.replace(stage.connection, app_key="no key at all")
    with stage.tokens() as tokens:
        told = await stage.asked(tokens)
    assert isinstance(told, Refused) and stage.github.calls == []


# What git fetches with.


def fetch_tokens(stage: Stage, tokens: AppTokens) -> FetchTokens:
    known = MemoryConnections(stage.connection)
    return FetchTokens(tokens, known, asyncio.get_running_loop())


async def fetched(stage: Stage, name: str = LOCK) -> Origin:
    """Where git would fetch from, and with what; asked in a thread, as the mirrors do."""
    repo = Repo(
        id="hub/1",
        connection="hub",
        external_id="1",
        name=name,
        clone_url=f"https://github.com/{name}.git",
    )
    with stage.tokens() as tokens:
        of = fetch_tokens(stage, tokens).of
        known = registered({"hub": stage.connection}, {repo.id: repo}, of)
        return await asyncio.to_thread(origin_of, repo, known, lambda *_: ["140.82.121.3"])


async def test_a_private_repository_is_fetched_with_a_token_of_the_app() -> None:
    stage = Stage()
    origin = await fetched(stage)
    header = origin.config["http.https://github.com/.extraHeader"]
    assert header.startswith("Authorization: Basic ")
    assert [one.permissions for one in stage.github.tokens.values()] == [{"contents": "read"}]


async def test_without_an_app_the_connections_token_is_what_git_fetches_with() -> None:
    stage = Stage(connection=msgspec.structs.replace(HUB, app="", token="t"))
    assert "http.https://github.com/.extraHeader" in (await fetched(stage)).config
    assert stage.github.calls == []


async def test_a_fetch_waits_for_a_forge_that_is_ill_and_not_for_one_that_refuses() -> None:
    stage = Stage()
    stage.github.answers = [httpx2.Response(503)]
    with pytest.raises(FetchFailed, match="answered 503"):
        await fetched(stage)
    with pytest.raises(RepoGone, match="is not installed on this repository"):
        await fetched(stage, "waterways/weir")


async def test_a_token_that_git_is_refused_with_is_given_up_unless_it_is_new() -> None:
    stage = Stage()
    repo = Repo(id="hub/1", connection="hub", external_id="1", name=LOCK, clone_url="u")
    with stage.tokens() as tokens:
        fetch = fetch_tokens(stage, tokens)
        first = await asyncio.to_thread(fetch.of, stage.connection, repo)
        assert not await asyncio.to_thread(fetch.renew, repo)
        stage.now += RENEWED_AFTER_S
        assert await asyncio.to_thread(fetch.renew, repo)
        second = await asyncio.to_thread(fetch.of, stage.connection, repo)
        assert first != second and not await asyncio.to_thread(fetch.renew, repo)
        other = msgspec.structs.replace(repo, connection="other")
        assert not await asyncio.to_thread(fetch.renew, other)


async def test_nothing_of_key_or_tokens_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stage = Stage()
    with stage.tokens() as tokens:
        token = await stage.asked(tokens)
    assert str(token) not in caplog.text and "PRIVATE" not in caplog.text
