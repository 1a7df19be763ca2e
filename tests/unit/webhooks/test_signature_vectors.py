"""Every scheme by which a call is signed, and every way to be wrong: none of them gets in."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
import pytest
from fastapi import FastAPI

from pipelines.repo import Connection, ForgeKind
from webhooks.errors import Unverified
from webhooks.memory import MemoryConnections, MemoryInbox
from webhooks.registry import FORGES
from webhooks.routes import BODY_BYTES_MAX, Hook, webhook_routes
from webhooks.signature import TOLERANCE_S, sign_standard, standard_key

NOW = 1_700_000_000
BODY = b'{"object_kind": "push", "ref": "refs/heads/main"}'
PLAIN = "open, gate!"
SIGNING = "whsec_" + base64.b64encode(b"k" * 32).decode()
OTHER = {PLAIN: "open, door!", SIGNING: "whsec_" + base64.b64encode(b"o" * 32).decode()}
TOO_LARGE = 30 * 1024 * 1024


def hex_of(body: bytes) -> str:
    return hmac.new(PLAIN.encode(), body, hashlib.sha256).hexdigest()


def standard(secret: str) -> Callable[[bytes], dict[str, str]]:
    def headers(body: bytes) -> dict[str, str]:
        signature = sign_standard("d-1", str(NOW), body, standard_key(secret))
        return {
            "webhook-id": "d-1",
            "webhook-timestamp": str(NOW),
            "webhook-signature": f"v1,{signature}",
        }

    return headers


@dataclass(frozen=True)
class Scheme:
    """How one forge signs. `signature`: the header that must be right; `names`: what else names the
    call; `covers_body`: GitLab's older token is a password, and covers nothing."""

    kind: ForgeKind
    headers: Callable[[bytes], dict[str, str]]
    signature: str
    names: dict[str, str]
    secret: str = PLAIN
    covers_body: bool = True
    covers_time: bool = False


GITHUB = {"x-github-event": "push", "x-github-delivery": "d-1"}
GITEA = {"x-gitea-event": "push", "x-gitea-delivery": "d-1"}
FORGEJO = {"x-forgejo-event": "push", "x-forgejo-delivery": "d-1"}
GITLAB = {"x-gitlab-event": "Push Hook", "idempotency-key": "d-1"}
SCHEMES = {
    "github": Scheme(
        ForgeKind.GITHUB,
        lambda body: {"x-hub-signature-256": f"sha256={hex_of(body)}"},
        "x-hub-signature-256",
        GITHUB,
    ),
    "gitea": Scheme(
        ForgeKind.GITEA,
        lambda body: {"x-gitea-signature": hex_of(body)},
        "x-gitea-signature",
        GITEA,
    ),
    "forgejo": Scheme(
        ForgeKind.GITEA,
        lambda body: {"x-forgejo-signature": hex_of(body)},
        "x-forgejo-signature",
        FORGEJO,
    ),
    "gitlab-signed": Scheme(
        ForgeKind.GITLAB,
        standard(SIGNING),
        "webhook-signature",
        GITLAB,
        secret=SIGNING,
        covers_time=True,
    ),
    "gitlab-token": Scheme(
        ForgeKind.GITLAB,
        lambda _body: {"x-gitlab-token": PLAIN},
        "x-gitlab-token",
        GITLAB,
        covers_body=False,
    ),
    "bitbucket": Scheme(
        ForgeKind.BITBUCKET,
        lambda body: {"x-hub-signature": f"sha256={hex_of(body)}"},
        "x-hub-signature",
        {"x-event-key": "repo:push", "x-request-uuid": "d-1"},
    ),
    "bitbucket-dc": Scheme(
        ForgeKind.BITBUCKET_DC,
        lambda body: {"x-hub-signature": f"sha256={hex_of(body)}"},
        "x-hub-signature",
        {"x-event-key": "repo:refs_changed", "x-request-id": "d-1"},
    ),
    "git": Scheme(ForgeKind.GIT, standard(PLAIN), "webhook-signature", {}, covers_time=True),
}
each = pytest.mark.parametrize("name", sorted(SCHEMES))


def check(ok: bool, scheme: Scheme, headers: dict[str, str], body: bytes = BODY, now: float = NOW):
    forge = FORGES[scheme.kind]
    if ok:
        forge.verify(headers, body, [scheme.secret], now)
    else:
        with pytest.raises(Unverified):
            forge.verify(headers, body, [scheme.secret], now)


def flipped(content: bytes) -> list[bytes]:
    """Each with one other bit."""
    return [
        content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
        for at in range(len(content))
        for bit in range(8)
    ]


def test_every_forge_has_a_scheme_here():
    assert {scheme.kind for scheme in SCHEMES.values()} == set(ForgeKind)


@each
def test_a_right_signature_is_accepted_and_no_flipped_bit_of_it_or_of_the_body(name):
    scheme = SCHEMES[name]
    right = scheme.headers(BODY)
    check(True, scheme, right)
    for signature in flipped(right[scheme.signature].encode()):
        check(False, scheme, {**right, scheme.signature: signature.decode("latin-1")})
    for body in flipped(BODY) if scheme.covers_body else []:
        check(False, scheme, right, body)


@each
def test_a_signature_that_is_missing_empty_or_cut_is_refused(name):
    scheme = SCHEMES[name]
    right = scheme.headers(BODY)
    check(False, scheme, {})
    check(False, scheme, {one: value for one, value in right.items() if one != scheme.signature})
    for value in ("", " ", "sha256=", "v1,", "v1=", "=", right[scheme.signature][:-2]):
        check(False, scheme, {**right, scheme.signature: value})
    # Of a connection without a secret nothing is right, nor what an empty secret signs.
    for secrets in ([], [""]):
        with pytest.raises(Unverified):
            FORGES[scheme.kind].verify(right, BODY, secrets, NOW)


@each
@pytest.mark.parametrize("other", sorted(SCHEMES))
def test_the_right_signature_of_another_forge_is_none_here(name, other):
    scheme, foreign = SCHEMES[name], SCHEMES[other]
    headers = foreign.headers(BODY)
    if scheme.signature == foreign.signature:
        # The same scheme: then the secret has to be another.
        with pytest.raises(Unverified):
            FORGES[scheme.kind].verify(headers, BODY, [OTHER[scheme.secret]], NOW)
        return
    # Forgejo is a Gitea by another name, and of one kind with it.
    check({name, other} == {"gitea", "forgejo"}, scheme, headers)


@each
@pytest.mark.parametrize("age_s", [TOLERANCE_S + 1, -TOLERANCE_S - 1, 365 * 86_400])
def test_where_the_time_is_signed_an_old_call_is_refused_and_its_time_cannot_be_changed(
    name, age_s
):
    scheme = SCHEMES[name]
    right = scheme.headers(BODY)
    check(not scheme.covers_time, scheme, right, now=NOW + age_s)
    if scheme.covers_time:
        fresh = {**right, "webhook-timestamp": str(NOW + age_s)}
        check(False, scheme, fresh, now=NOW + age_s)
        check(False, scheme, {**right, "webhook-id": "d-2"})


async def posted(scheme: Scheme, inbox: MemoryInbox, body, headers) -> httpx2.Response:
    app = FastAPI()
    known = MemoryConnections(Connection(id="it", kind=scheme.kind, secrets=[scheme.secret]))
    app.include_router(webhook_routes(Hook(connections=known, inbox=inbox, now=lambda: NOW)))
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post("/hooks/it", content=body, headers={**scheme.names, **headers})


@pytest.mark.anyio
@each
async def test_a_call_that_is_replayed_is_kept_once(name):
    scheme, inbox = SCHEMES[name], MemoryInbox()
    answers = [await posted(scheme, inbox, BODY, scheme.headers(BODY)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert [answer.json()["duplicate"] for answer in answers] == [False, True, True]
    assert len(inbox.deliveries) == 1


@pytest.mark.anyio
@each
async def test_thirty_megabytes_are_refused_however_rightly_they_are_signed(name):
    scheme, inbox = SCHEMES[name], MemoryInbox()
    body = b'{"a": "' + b"x" * (TOO_LARGE - 9) + b'"}'
    headers = scheme.headers(body)

    async def in_pieces():
        for start in range(0, TOO_LARGE, 2**20):
            yield body[start : start + 2**20]

    assert len(body) == TOO_LARGE > BODY_BYTES_MAX
    for sent in (body, in_pieces()):
        assert (await posted(scheme, inbox, sent, headers)).status_code == 413
    assert not inbox.deliveries
