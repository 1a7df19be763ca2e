"""What every Forge must do, whatever it calls its headers; and every client of its status API."""

import base64
import hashlib
import hmac
import json

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.repo import Connection, ForgeKind
from pipelines.status import Status, StatusState
from tests.payloads import EVENTS, folder_of
from tests.published.checked import transport_of
from webhooks.bitbucket.client import BitbucketStatuses
from webhooks.bitbucket_dc.client import BitbucketDcStatuses
from webhooks.errors import Malformed, Unverified
from webhooks.forge import Ignored, Later, Refused, Sent
from webhooks.gitea.client import GiteaStatuses
from webhooks.github.client import GitHubStatuses
from webhooks.gitlab.client import GitLabStatuses
from webhooks.memory import MemoryStatusClient
from webhooks.registry import FORGES
from webhooks.signature import sign_standard, standard_key

NOW = 1_700_000_000.0
PUSHES = {kind: (folder_of(kind) / "push.json").read_bytes() for kind in ForgeKind}
NAMES = {
    ForgeKind.GITHUB: ("x-github-delivery", "x-github-event", "x-hub-signature-256"),
    ForgeKind.GITEA: ("x-gitea-delivery", "x-gitea-event", "x-gitea-signature"),
    ForgeKind.GITLAB: ("webhook-id", "x-gitlab-event", "webhook-signature"),
    ForgeKind.BITBUCKET: ("x-request-uuid", "x-event-key", "x-hub-signature"),
    ForgeKind.BITBUCKET_DC: ("x-request-id", "x-event-key", "x-hub-signature"),
    ForgeKind.GIT: ("webhook-id", "", "webhook-signature"),
}


def headers_of(kind: ForgeKind, body: bytes, secret: str) -> dict[str, str]:
    """What this forge sends along with a push."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    standard = sign_standard("d-1", str(int(NOW)), body, standard_key(secret))
    signature = {
        ForgeKind.GITHUB: f"sha256={digest}",
        ForgeKind.BITBUCKET: f"sha256={digest}",
        ForgeKind.BITBUCKET_DC: f"sha256={digest}",
        ForgeKind.GITEA: digest,
        ForgeKind.GITLAB: f"v1,{standard}",
        ForgeKind.GIT: f"v1,{standard}",
    }
    delivery, event, sign = NAMES[kind]
    headers = {delivery: "d-1", event: EVENTS[kind]["push"], sign: signature[kind]}
    return {**headers, "webhook-timestamp": str(int(NOW))}


def secret_of(kind: ForgeKind, text: str) -> str:
    """The secret in the form in which this forge signs with it."""
    if kind is ForgeKind.GITLAB and text:
        return f"whsec_{base64.b64encode(text.encode()).decode()}"
    return text


every_forge = pytest.mark.parametrize("kind", list(ForgeKind))


def test_there_is_an_adapter_for_every_kind():
    assert {kind: forge.kind for kind, forge in FORGES.items()} == {k: k for k in ForgeKind}


@every_forge
def test_a_call_is_accepted_under_any_current_secret_and_no_other(kind):
    forge, body = FORGES[kind], PUSHES[kind]
    old, new = secret_of(kind, "old secret!"), secret_of(kind, "new secret!")
    headers = headers_of(kind, body, old)
    for secrets in ([old], [new, old]):
        forge.verify(headers, body, secrets, NOW)
    for secrets in ([], [""], [new], [secret_of(kind, "old secret")]):
        with pytest.raises(Unverified):
            forge.verify(headers, body, secrets, NOW)


@every_forge
def test_each_part_of_a_signed_call_counts(kind):
    forge, body = FORGES[kind], PUSHES[kind]
    secret = secret_of(kind, "old secret!")
    headers = headers_of(kind, body, secret)
    with pytest.raises(Unverified):
        forge.verify(headers, body + b" ", [secret], NOW)
    for value in ("", "x", headers[NAMES[kind][2]][:-1]):
        with pytest.raises(Unverified):
            forge.verify({**headers, NAMES[kind][2]: value}, body, [secret], NOW)
    with pytest.raises(Unverified):
        forge.verify({}, body, [secret], NOW)


@every_forge
@given(headers=st.dictionaries(st.sampled_from(sorted({n for t in NAMES.values() for n in t})),
                               st.text(max_size=80)))  # fmt: skip
def test_no_header_makes_verification_do_anything_but_refuse(kind, headers):
    with pytest.raises(Unverified):
        FORGES[kind].verify(headers, b"{}", ["old secret!"], NOW)


@every_forge
def test_a_call_is_named_by_its_headers_and_without_them_by_nothing(kind):
    forge = FORGES[kind]
    headers = headers_of(kind, b"{}", "s")
    push = EVENTS[kind]["push"]
    assert (forge.delivery_id(headers), forge.event_name(headers)) == ("d-1", push)
    assert forge.delivery_id({}) == ""
    assert forge.ignores(push) is None


@every_forge
@given(name=st.text(max_size=30))
def test_a_name_that_is_not_known_is_ignored_before_and_in_parsing(kind, name):
    forge = FORGES[kind]
    if ignored := forge.ignores(name):
        assert ignored.reason
        assert forge.parse(name, b"not even JSON") == ignored


@every_forge
def test_parsing_is_pure_and_takes_text_and_bytes(kind):
    forge, body = FORGES[kind], PUSHES[kind]
    push = EVENTS[kind]["push"]
    parsed = forge.parse(push, body)
    assert not isinstance(parsed, Ignored)
    assert parsed == forge.parse(push, body.decode()) == forge.parse(push, body)
    assert parsed[0].event.branch == "main"
    assert parsed[0].external_id


@every_forge
def test_any_required_field_that_is_missing_is_malformed_and_nothing_else(kind):
    payload = json.loads(PUSHES[kind])
    needed = {
        ForgeKind.GIT: {"changes", "repo"},
        ForgeKind.GITLAB: {"ref", "after", "project"},
        ForgeKind.BITBUCKET: {"push", "repository"},
        ForgeKind.BITBUCKET_DC: {"changes", "repository"},
    }
    for field in needed.get(kind, {"ref", "after", "repository"}):
        rest = {key: value for key, value in payload.items() if key != field}
        with pytest.raises(Malformed, match=field):
            FORGES[kind].parse(EVENTS[kind]["push"], json.dumps(rest))


STATUS = Status(
    id="s",
    connection="c",
    repo="c/1",
    repo_name="waterways/lock",
    commit="1f0c3a5be2d94c7786ab01c2d3e4f5061728394a",
    context="staunch/pipeline",
    state=StatusState.SUCCESS,
    description="",
    target_url="https://ci.example/runs/1",
    at=NOW,
)


STATUS_CLIENTS = {
    "github": GitHubStatuses,
    "gitea": GiteaStatuses,
    "gitlab": GitLabStatuses,
    "bitbucket": BitbucketStatuses,
}
UUID = "8d3e1c7a-0b52-4f6e-9a41-5c2d7e90f1b3"


def answered(told):
    """The answer of a forge that means what the fake was told to say."""
    return httpx2.Response(
        {Sent: 201, Later: 503, Refused: 404}[type(told)], headers={"retry-after": "7"}
    )


def client_of(name, told):
    if name == "memory":
        return MemoryStatusClient(told)
    kind = ForgeKind(name)
    http = httpx2.AsyncClient(transport=transport_of(kind, lambda _: answered(told)))
    at = Connection(id="c", kind=kind, api_url="https://forge.example", token="t")
    if kind is ForgeKind.BITBUCKET_DC:
        return BitbucketDcStatuses(at, http, lambda: NOW, set())
    return STATUS_CLIENTS[name](at, http, lambda: NOW)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["memory", *STATUS_CLIENTS, "bitbucket-dc"])
@pytest.mark.parametrize("told", [Sent(), Later("busy", 7.0), Refused("no")], ids=str)
async def test_every_outcome_of_telling_a_status_is_a_record(name, told):
    client = client_of(name, told)
    status = msgspec.structs.replace(STATUS, repo=f"c/{UUID}" if name == "bitbucket" else "c/1")
    answer = await client.post_status(status)
    assert type(answer) is type(told)
    if isinstance(answer, Later):
        assert answer.retry_after_s == 7.0
    # Telling it again is harmless.
    await client.post_status(status)
