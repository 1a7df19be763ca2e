"""Each repository's webhook has a URL and a secret of its own, and is believed of nothing else."""

import hashlib
import hmac
import json
from urllib.parse import unquote

import httpx2
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from pipelines.repo import Connection, ForgeKind
from tests.payloads import PAYLOADS
from webhooks.forge import Ignored
from webhooks.hook_of_repo import (
    accepted_at,
    called_by,
    given_to,
    hook_path,
    ours_of,
    secret_of,
)
from webhooks.memory import MemoryConnections, MemoryInbox
from webhooks.registry import parse_delivery
from webhooks.routes import Hook, HooksFirst, webhook_routes
from webhooks.signature import standard_problem

pytestmark = pytest.mark.anyio

CONNECTIONS_OWN = "open, gate!"
OLDER = "shut, gate!"
# As the payload says.
REPO = "31"
PUSH = json.dumps(PAYLOADS["gitea/push"]).encode()
IDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1).filter(
    lambda text: "/" not in text
)


async def called(inbox: MemoryInbox, path: str, secret: str) -> int:
    """The status that a push of REPO is answered with, signed with this secret."""
    connection = Connection(id="tea", kind=ForgeKind.GITEA, secrets=[CONNECTIONS_OWN, OLDER])
    hook = Hook(connections=MemoryConnections(connection), inbox=inbox, now=lambda: 1.0)
    app = FastAPI()
    app.include_router(webhook_routes(hook))
    digest = hmac.new(secret.encode(), PUSH, hashlib.sha256).hexdigest()
    headers = {
        "x-gitea-event": "push",
        "x-gitea-delivery": f"{path} {secret}"[:200],
        "x-gitea-signature": digest,
    }
    transport = httpx2.ASGITransport(app=HooksFirst(hook, app))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        return (await client.post(path, content=PUSH, headers=headers)).status_code


@given(IDS)
def test_a_path_leads_back_to_whose_it_is(external_id):
    assert called_by(unquote(hook_path("tea", external_id))) == ("tea", external_id)
    assert called_by(hook_path("tea")) == ("tea", "")


@pytest.mark.parametrize("path", ["/hooks", "/hooks/", "/hooks//7", "/hooks/tea/", "/hooks/a/b/c"])
def test_any_other_path_is_no_hooks(path):
    assert called_by(path) is None


def test_a_repository_whose_id_is_a_path_has_its_connections_url():
    assert hook_path("bare", "/srv/git/shop.git") == "/hooks/bare"


async def test_a_webhook_is_signed_with_its_own_secret_or_its_connections_old_or_new():
    inbox = MemoryInbox()
    for own in (CONNECTIONS_OWN, OLDER):
        for secret in (own, secret_of(own, REPO)):
            assert await called(inbox, hook_path("tea", REPO), secret) == 202
    assert {one.repo for one in inbox.deliveries.values()} == {REPO}
    assert all(not isinstance(parse_delivery(one), Ignored) for one in inbox.deliveries.values())


async def test_the_secret_of_one_repository_signs_for_no_other_and_not_for_all():
    inbox = MemoryInbox()
    for path in (hook_path("tea", "32"), hook_path("tea")):
        assert await called(inbox, path, secret_of(CONNECTIONS_OWN, REPO)) == 401
    assert not inbox.deliveries


async def test_what_tells_of_another_repository_starts_nothing():
    inbox = MemoryInbox()
    assert await called(inbox, hook_path("tea", "32"), secret_of(CONNECTIONS_OWN, "32")) == 202
    (delivery,) = inbox.deliveries.values()
    told = parse_delivery(delivery)
    assert isinstance(told, Ignored)
    assert "it tells of repository 31, and came to the webhook of 32" in told.reason


def test_of_a_signing_token_a_signing_token_is_made():
    connections = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
    made = secret_of(connections, REPO)
    assert made.startswith("whsec_") and made != connections
    assert standard_problem(made) is None
    assert len({secret_of(connections, one) for one in ("1", "2", "12")}) == 3


def test_the_webhook_of_before_is_known_as_ours():
    older, own = "https://ci.example/hooks/tea", "https://ci.example/hooks/tea/31"
    others = [f"{older}/32", "https://ci.example/hooks", "https://other.example/hooks/tea"]
    assert ours_of([*others, older], str, own) == older
    assert ours_of([older, *others, own], str, own) == own
    assert ours_of(others, str, own) is None


def test_what_is_shown_to_be_copied_is_accepted_there():
    plain = Connection(id="tea", kind=ForgeKind.GITEA, secrets=[CONNECTIONS_OWN, OLDER])
    app = Connection(id="hub", kind=ForgeKind.GITHUB, secrets=[CONNECTIONS_OWN], app="4711")
    for connection, external_id in ((plain, "31"), (plain, "/srv/git/shop.git"), (app, "31")):
        path, secret = given_to(connection, external_id)
        called = called_by(unquote(path))
        assert called is not None
        assert secret in accepted_at(connection.secrets, called[1])
    assert given_to(app, "31") == ("/hooks/hub", CONNECTIONS_OWN)
    assert given_to(Connection(id="tea", kind=ForgeKind.GITEA), "31")[1] == ""


def test_a_secret_without_a_key_makes_no_secret_that_anybody_could_tell():
    assert accepted_at(["whsec_"], "31") == ["whsec_"]
