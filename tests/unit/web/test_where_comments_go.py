"""Where anything is written under pull requests: by the connection, and by what is switched off."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ci_host.bootstrap.comments import answers, writes
from pipelines.repo import Connection, ForgeKind
from webhooks.memory import MemoryConnections

PLACE = ("hub", "hub/4711", "acme/shop")


def asked(what, off: list[str], **changes) -> bool:
    facts = {"id": "hub", "kind": ForgeKind.GITHUB, "api_url": "https://x", "token": "t"}
    known = MemoryConnections(Connection(**{**facts, **changes}))
    return what(known, cast(Any, SimpleNamespace(no_comments=off)), *PLACE)


@pytest.mark.parametrize("kind", [ForgeKind.GITHUB, ForgeKind.GITEA, ForgeKind.GITLAB])
def test_a_connection_with_a_token_has_both(kind) -> None:
    assert asked(writes, [], kind=kind) and asked(answers, [], kind=kind)


def test_an_app_has_checks_and_answers_and_no_comment() -> None:
    app = {"token": "", "app": "4711", "app_key": "k"}
    assert asked(answers, [], **app) and not asked(writes, [], **app)


@pytest.mark.parametrize(
    "changes", [{"token": ""}, {"api_url": ""}, {"kind": ForgeKind.GIT}, {"id": "other"}]
)
def test_where_nothing_can_be_written_nothing_is_tried(changes) -> None:
    assert not asked(writes, [], **changes) and not asked(answers, [], **changes)


@pytest.mark.parametrize("off", ["all", "hub", "hub:acme", "acme/shop", "hub/4711"])
def test_what_is_switched_off_is_off(off) -> None:
    assert not asked(writes, ["x", off]) and not asked(answers, ["x", off])


def test_what_is_switched_off_elsewhere_is_on_here() -> None:
    assert asked(writes, ["lab", "hub:other", "acme/shop2", "hub/47", "acme"])
