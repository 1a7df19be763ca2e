"""What the host saw of a ref is read like what a forge tells, and comes from the host alone."""

import msgspec
import pytest

from pipelines.event import Event, EventKind, PullRequest
from pipelines.repo import Delivery, ForgeKind
from webhooks.errors import Malformed
from webhooks.forge import Sought
from webhooks.reconciled import RECONCILED_EVENT, Reconciled, parse_reconciled
from webhooks.registry import FORGES

A, B = "a" * 40, "b" * 40


def delivery(body: str) -> Delivery:
    return Delivery(
        connection="c",
        id="reconciled-1",
        kind=ForgeKind.GITHUB,
        event=RECONCILED_EVENT,
        received_at=1.0,
        body=body,
    )


def moved(ref: str, commit: str, before: str = "") -> Delivery:
    what = Reconciled(external_id="7", name="acme/shop", ref=ref, commit=commit, before=before)
    return delivery(msgspec.json.encode(what).decode())


@pytest.mark.parametrize(
    ("ref", "commit", "before", "kind"),
    [
        ("refs/heads/main", B, A, EventKind.PUSH),
        ("refs/heads/new", B, "", EventKind.PUSH),
        ("refs/heads/gone", "", A, EventKind.BRANCH_DELETE),
        ("refs/tags/v1", B, "", EventKind.TAG),
        ("refs/tags/v1", "", A, EventKind.TAG_DELETE),
    ],
)
def test_a_ref_that_moved_is_the_event_that_its_forge_would_have_told(ref, commit, before, kind):
    (parsed,) = parse_reconciled(moved(ref, commit, before))
    assert (parsed.external_id, parsed.name) == ("7", "acme/shop")
    event = parsed.event
    assert (event.kind, event.ref, event.commit, event.before) == (kind, ref, commit, before)
    assert event.delivery == "reconciled-1"
    assert (event.sender, event.message, event.pull_request) == ("", "", None)


@pytest.mark.parametrize(
    "body",
    ["", "[]", '{"external_id": "7"}', '{"external_id": 7, "name": "n", "ref": "refs/heads/x"}'],
)
def test_what_cannot_be_read_is_malformed(body):
    with pytest.raises(Malformed):
        parse_reconciled(delivery(body))


@pytest.mark.parametrize(
    ("ref", "commit"),
    [("refs/pull/7/head", A), ("main", A), ("refs/heads/a..b", A), ("refs/heads/main", "abc")],
)
def test_neither_a_hidden_ref_nor_half_a_commit_is_taken(ref, commit):
    with pytest.raises(Malformed):
        parse_reconciled(moved(ref, commit))


@pytest.mark.parametrize("kind", sorted(FORGES))
def test_no_forge_can_call_an_event_of_its_own_by_this_name(kind):
    assert FORGES[kind].ignores(RECONCILED_EVENT) is not None


@pytest.mark.parametrize(
    ("is_fork", "where"), [(True, "refs/pull-requests/7/from"), (False, "refs/heads/x")]
)
def test_a_lost_pull_request_of_data_center_is_fetched_from_where_its_commit_is(is_fork, where):
    request = PullRequest(number=7, action="", base_ref="main", head_ref="x", is_fork=is_fork)
    ref = "refs/pull-requests/7/from"
    pull = Event(kind=EventKind.PULL_REQUEST, ref=ref, commit=A, pull_request=request)
    what = Reconciled(external_id="7", name="acme/shop", ref=ref, commit=A, pull=pull)
    told = delivery(msgspec.json.encode(what).decode())
    (elsewhere,) = parse_reconciled(told)
    assert elsewhere.sought is None
    (parsed,) = parse_reconciled(msgspec.structs.replace(told, kind=ForgeKind.BITBUCKET_DC))
    assert parsed.sought == Sought(A, where)


@pytest.mark.parametrize(
    ("is_fork", "where"), [(True, "refs/pull-requests/7/from"), (False, "refs/heads/wider")]
)
def test_a_pull_request_of_bitbucket_cloud_is_sought_by_the_id_that_its_list_cuts(is_fork, where):
    request = PullRequest(number=7, action="", head_ref="wider", base_ref="main", is_fork=is_fork)
    ref = "refs/pull-requests/7/from"
    event = Event(kind=EventKind.PULL_REQUEST, ref=ref, commit=A[:12], pull_request=request)
    what = Reconciled(
        external_id="7", name="acme/shop", ref=ref, commit=A[:12], before=B[:12], pull=event
    )
    told = delivery(msgspec.json.encode(what).decode())
    (parsed,) = parse_reconciled(msgspec.structs.replace(told, kind=ForgeKind.BITBUCKET))
    assert parsed.sought == Sought(A[:12], where)
    assert (parsed.event.before, parsed.event.pull_request.action) == ("", "synchronize")
