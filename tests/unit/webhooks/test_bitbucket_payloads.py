import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.event import EventKind
from pipelines.repo import ForgeKind
from pipelines.trust import Tier, tier_of
from tests.payloads import PAYLOADS, event_of
from webhooks.bitbucket.parse import Bitbucket, repository_uuid
from webhooks.comments import NO_COMMAND
from webhooks.errors import Malformed
from webhooks.forge import Command, CommandWord, Ignored, Sought
from webhooks.payload import CHANGES_MAX
from webhooks.registry import registered_id

COMMIT = "1f0c3a5be2d94c7786ab01c2d3e4f5061728394a"
UUID = "8d3e1c7a-0b52-4f6e-9a41-5c2d7e90f1b3"
OTHER = "1c9f0e2d-77aa-4b3c-8d15-f2e64ab90c33"


def check(name, **changes):
    """Parse an example, some places in it (`a__b`) changed."""
    payload = copy.deepcopy(PAYLOADS[f"bitbucket/{name}"])
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = payload
        for parent in parents:
            place = place[int(parent) if parent.isdecimal() else parent]
        place[last] = value
    return Bitbucket().parse(event_of(f"bitbucket/{name}"), json.dumps(payload))


def one(name, **changes):
    (parsed,) = check(name, **changes)
    return parsed


def test_one_push_is_an_event_for_each_branch_and_tag_in_its_order():
    parsed = check("push_many")
    assert [(one.event.kind, one.event.ref, one.event.commit != "") for one in parsed] == [
        (EventKind.PUSH, "refs/heads/feature/$(id)", True),
        (EventKind.PUSH, "refs/heads/wide", True),
        (EventKind.BRANCH_DELETE, "refs/heads/old", False),
        (EventKind.TAG, "refs/tags/v1.2.0", True),
        (EventKind.TAG_DELETE, "refs/tags/v0.1", False),
    ]
    assert [one.event.forced for one in parsed] == [False, True, False, False, False]
    assert {one.external_id for one in parsed} == {UUID}


def test_a_repository_is_known_by_its_uuid_in_any_form_and_never_by_its_name():
    for uuid in (f"{{{UUID}}}", UUID, UUID.upper(), f"{{{UUID.upper()}}}"):
        changed = one("push", repository__uuid=uuid, repository__full_name="others/new-name")
        assert (changed.external_id, changed.name) == (UUID, "others/new-name")
        assert registered_id(ForgeKind.BITBUCKET, uuid) == UUID


@pytest.mark.parametrize(
    "uuid",
    ["", "62", "{}", f"{{{UUID}", f"{UUID}}}", f"{{{{{UUID}}}}}", UUID + "\n", UUID[:-1], "é" * 36],
)
def test_what_is_no_uuid_names_no_repository(uuid):
    with pytest.raises(Malformed):
        repository_uuid(uuid)
    with pytest.raises(Malformed):
        check("push", repository__uuid=uuid)
    with pytest.raises(Malformed):
        registered_id(ForgeKind.BITBUCKET, uuid)


def test_a_push_of_refs_of_other_kinds_or_of_none_is_ignored():
    changes = [PAYLOADS["bitbucket/push_many"]["push"]["changes"][-1]]
    assert changes[0]["new"]["type"] == "bookmark"
    assert isinstance(check("push", push__changes=changes), Ignored)
    assert isinstance(check("push", push__changes=[]), Ignored)


def test_as_many_changes_are_read_as_the_limit_says_and_no_more():
    change = PAYLOADS["bitbucket/push"]["push"]["changes"][0]
    assert len(check("push", push__changes=[change] * CHANGES_MAX)) == CHANGES_MAX
    with pytest.raises(Malformed, match=f"at most {CHANGES_MAX}"):
        check("push", push__changes=[change] * (CHANGES_MAX + 1))


@pytest.mark.parametrize(
    "changes",
    [
        {"push__changes__0__new": None, "push__changes__0__old": None},
        {"push__changes__0__new__target": None},
        {"push__changes__0__new__target__hash": COMMIT[:12]},
        {"push__changes__0__new__target__hash": "0" * 40},
        {"push__changes__0__new__name": "a b"},
        {"push__changes__0__new__name": "../../etc"},
        {"push__changes__0__old__target__hash": "x"},
        {"push__changes": None},
    ],
)
def test_a_push_that_cannot_be_is_malformed(changes):
    with pytest.raises(Malformed):
        check("push", **changes)


def test_a_push_may_lack_whatever_decides_nothing():
    event = one("push", actor=None, push__changes__0__new__target__message=None).event
    assert (event.sender, event.message, event.commit) == ("", "", COMMIT)


def test_a_pull_request_says_what_is_sought_and_where_because_its_id_is_cut():
    parsed = one("pullrequest_created")
    assert parsed.event.commit == ""
    assert parsed.sought == Sought(COMMIT[:12], "refs/heads/wider")
    # Nothing of a branch's rules may apply to it.
    assert (parsed.event.branch, parsed.event.tag) == ("", "")


@pytest.mark.parametrize(
    "commit", ["", "0" * 12, COMMIT[:11], COMMIT[:12].upper(), "HEAD", "--all", "é" * 12, "a" * 65]
)
def test_an_id_that_could_be_anybodys_or_nobodys_is_malformed(commit):
    with pytest.raises(Malformed):
        check("pullrequest_created", pullrequest__source__commit__hash=commit)


@pytest.mark.parametrize("number", [0, -7])
def test_a_pull_requests_number_starts_at_one(number):
    with pytest.raises(Malformed):
        check("pullrequest_created", pullrequest__id=number)


@pytest.mark.parametrize("state", ["MERGED", "DECLINED", "SUPERSEDED", ""])
def test_a_pull_request_that_is_not_open_is_ignored(state):
    ignored = check("pullrequest_updated", pullrequest__state=state)
    assert isinstance(ignored, Ignored) and "not open" in ignored.reason


def test_one_without_a_source_commit_is_ignored():
    assert isinstance(check("pullrequest_created", pullrequest__source__commit=None), Ignored)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"pullrequest__source__repository": None}, "that is gone"),
        ({"pullrequest__destination__repository__uuid": f"{{{OTHER}}}"}, "meant for"),
        ({"repository__uuid": f"{{{OTHER}}}"}, "meant for"),
    ],
)
def test_nothing_is_started_for_what_is_not_of_this_repository_alone(changes, word):
    ignored = check("pullrequest_created", **changes)
    assert isinstance(ignored, Ignored) and word in ignored.reason


def test_a_forks_commit_is_sought_by_a_name_that_stands_for_its_place_and_is_untrusted():
    parsed = one("pullrequest_created", pullrequest__source__repository__uuid=f"{{{OTHER}}}")
    assert parsed.sought == Sought(COMMIT[:12], "refs/pull-requests/7/from")
    request = parsed.event.pull_request
    assert (request.is_fork, request.head_repo, parsed.external_id) == (True, OTHER, UUID)
    assert tier_of(parsed.event) is Tier.UNTRUSTED
    # Where it is no payload says.
    assert "stranger" not in str(one("pullrequest_created_fork"))


def test_what_is_started_is_of_the_repository_itself_and_so_trusted():
    parsed = one("pullrequest_updated")
    assert tier_of(parsed.event) is Tier.TRUSTED
    assert parsed.event.pull_request.head_repo == parsed.external_id == UUID


@pytest.mark.parametrize(
    "event",
    ["pullrequest:fulfilled", "pullrequest:rejected", "pullrequest:comment_updated", "repo:fork",
     "repo:commit_status_updated", "issue:created", "REPO:PUSH", ""],
)  # fmt: skip
def test_any_other_event_is_ignored_with_a_reason(event):
    ignored = Bitbucket().ignores(event)
    assert ignored is not None and "repo:push" in ignored.reason
    assert Bitbucket().parse(event, "not JSON") == ignored


@given(uuid=st.text(max_size=50))
def test_any_text_is_a_uuid_or_malformed(uuid):
    try:
        assert len(repository_uuid(uuid)) == 36
    except Malformed as error:
        assert len(str(error)) < 500


def test_a_comment_commands_by_the_uuid_of_its_author_and_not_by_a_nickname():
    parsed = one("pullrequest_comment_created")
    who = "55d3f9a1-20c4-4e7b-8f6d-9b1e3c7a4410"
    at, person = 1_795_169_642.118532, "ada"
    assert parsed.command == Command(
        CommandWord.OK_TO_TEST, 7, who, COMMIT, "451007321", at, person=person
    )
    assert (parsed.external_id, parsed.name) == (UUID, "waterways/lock")
    # The same as that of the pull request's own events, by which its Runs are found again.
    assert parsed.event.ref == "refs/pull-requests/7/from"
    for user in (None, {"nickname": "ada"}, {"uuid": None}):
        told = check("pullrequest_comment_created", comment__user=user)
        assert isinstance(told, Ignored) and "no login" in told.reason
    for raw in (None, "", "LGTM"):
        assert check("pullrequest_comment_created", comment__content__raw=raw) == NO_COMMAND
