import copy
import json

import pytest

from pipelines.event import EventKind
from pipelines.repo import ForgeKind
from pipelines.trust import Tier, tier_of
from tests.payloads import PAYLOADS, event_of
from webhooks.bitbucket_dc.parse import BitbucketDataCenter
from webhooks.comments import NO_COMMAND
from webhooks.errors import Malformed
from webhooks.forge import Command, CommandWord, Ignored, Sought
from webhooks.payload import CHANGES_MAX
from webhooks.registry import registered_id

COMMIT = "1f0c3a5be2d94c7786ab01c2d3e4f5061728394a"
TAG_OBJECT = "77777777aaaabbbbccccddddeeeeffff00001111"
ZERO = "0" * 40


def check(name, **changes):
    """Parse an example, some places in it (`a__b`) changed."""
    payload = copy.deepcopy(PAYLOADS[f"bitbucket_dc/{name}"])
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = payload
        for parent in parents:
            place = place[int(parent) if parent.isdecimal() else parent]
        place[last] = value
    return BitbucketDataCenter().parse(event_of(f"bitbucket_dc/{name}"), json.dumps(payload))


def one(name, **changes):
    (parsed,) = check(name, **changes)
    return parsed


def test_one_push_is_an_event_for_each_branch_and_tag_in_its_order():
    parsed = check("push_many")
    assert [(one.event.kind, one.event.ref, one.event.commit != "") for one in parsed] == [
        (EventKind.PUSH, "refs/heads/feature/$(id)", True),
        (EventKind.PUSH, "refs/heads/wide", True),
        (EventKind.BRANCH_DELETE, "refs/heads/old", False),
        (EventKind.TAG, "refs/tags/v1.2.0", False),
        (EventKind.TAG_DELETE, "refs/tags/v0.1", False),
    ]
    assert {one.external_id for one in parsed} == {"62"}


def test_a_tag_is_sought_by_the_object_that_was_pushed_for_it_may_be_no_commit():
    tags = [one for one in check("push_many") if one.event.kind is EventKind.TAG]
    assert [one.sought for one in tags] == [Sought(TAG_OBJECT, "refs/tags/v1.2.0")]


def test_a_message_is_that_of_the_commit_and_of_no_other():
    assert one("push").event.message.startswith("Open the upper gate")
    assert one("push", toCommit=None).event.message.startswith("Open the upper gate")
    assert one("push", toCommit=None, commits__0__id="a" * 40).event.message == ""
    assert one("push", toCommit=None, commits=None, actor=None).event.commit == COMMIT


def test_a_repository_is_known_by_its_number_and_never_by_its_name():
    parsed = one("push", repository__slug="renamed", repository__project__key="~ADA")
    assert (parsed.external_id, parsed.name) == ("62", "~ADA/renamed")
    assert one("push", repository__project=None).external_id == "62"
    assert registered_id(ForgeKind.BITBUCKET_DC, "62") == "62"


@pytest.mark.parametrize("given", ["", "0", "062", "-1", "WATER/lock", "6 2", "62\n", "9" * 20])
def test_what_is_no_number_cannot_be_registered(given):
    with pytest.raises(Malformed, match="numbers repositories"):
        registered_id(ForgeKind.BITBUCKET_DC, given)


@pytest.mark.parametrize("kind", ["github", "gitea", "gitlab", "git"])
def test_the_ids_of_other_forges_are_taken_as_they_are(kind):
    assert registered_id(ForgeKind(kind), "/srv/git/lock.git") == "/srv/git/lock.git"


def test_a_push_of_notes_or_of_nothing_is_ignored():
    notes = PAYLOADS["bitbucket_dc/push_many"]["changes"][-1]
    assert notes["refId"].startswith("refs/notes/")
    assert isinstance(check("push", changes=[notes]), Ignored)
    assert isinstance(check("push", changes=[]), Ignored)


def test_as_many_changes_are_read_as_the_limit_says_and_no_more():
    change = PAYLOADS["bitbucket_dc/push"]["changes"][0]
    assert len(check("push", changes=[change] * CHANGES_MAX)) == CHANGES_MAX
    with pytest.raises(Malformed, match=f"at most {CHANGES_MAX}"):
        check("push", changes=[change] * (CHANGES_MAX + 1))


@pytest.mark.parametrize(
    "changes",
    [
        {"changes": None},
        {"changes__0__refId": "main"},
        {"changes__0__refId": "refs/heads/a b"},
        {"changes__0__toHash": COMMIT[:12]},
        {"changes__0__fromHash": ""},
        {"repository__id": ""},
        {"repository__id": None},
        {"eventKey": "pr:opened"},
    ],
)
def test_a_push_that_cannot_be_is_malformed(changes):
    with pytest.raises(Malformed):
        check("push", **changes)


def test_what_a_mirror_has_now_is_the_same_push():
    mirrored, pushed = one("mirror_repo_synchronized"), one("push")
    assert mirrored.external_id == pushed.external_id
    for name in ("kind", "ref", "commit", "before"):
        assert getattr(mirrored.event, name) == getattr(pushed.event, name)


@pytest.mark.parametrize("changes", [{}, {"refLimitExceeded": None}, {"changes": None}])
def test_a_mirror_that_lists_no_refs_is_ignored_with_a_reason(changes):
    ignored = check("mirror_repo_synchronized_too_many", **changes)
    assert isinstance(ignored, Ignored) and "more refs" in ignored.reason


def test_a_pull_request_of_the_repository_itself_is_sought_on_its_branch():
    parsed = one("pr_opened")
    assert (parsed.event.commit, parsed.event.ref) == ("", "refs/pull-requests/7/from")
    assert parsed.sought == Sought(COMMIT, "refs/heads/wider")
    assert (parsed.event.branch, parsed.event.pull_request.action) == ("", "opened")
    assert tier_of(parsed.event) is Tier.TRUSTED


@pytest.mark.parametrize("name", ["pr_from_ref_updated_fork", "pr_opened_deleted_fork"])
def test_one_from_another_repository_is_untrusted_and_fetched_by_its_own_ref(name):
    parsed = one(name)
    assert parsed.event.ref == "refs/pull-requests/7/from"
    assert (parsed.event.commit, parsed.sought) == ("", Sought(COMMIT, parsed.event.ref))
    assert tier_of(parsed.event) is Tier.UNTRUSTED


@pytest.mark.parametrize(
    "changes",
    [
        {"pullRequest__fromRef__repository__id": 81},
        {"pullRequest__fromRef__repository__id": "62 "},
        {"pullRequest__toRef__repository__id": 81},
    ],
)
def test_repositories_that_are_not_one_and_the_same_are_strangers(changes):
    assert tier_of(one("pr_opened", **changes).event) is Tier.UNTRUSTED


@pytest.mark.parametrize(
    "changes",
    [
        {"pullRequest__id": 0},
        {"pullRequest__fromRef__latestCommit": ZERO},
        {"pullRequest__fromRef__latestCommit": COMMIT[:12]},
        {"pullRequest__fromRef__id": "wider"},
        {"pullRequest__toRef__id": "refs/heads/a..b"},
        {"pullRequest__toRef__repository": None},
        {"previousFromHash": "x"},
        {"eventKey": "pr:merged"},
    ],
)
def test_a_pull_request_that_cannot_be_is_malformed(changes):
    with pytest.raises(Malformed):
        check("pr_opened", **changes)


def test_a_pull_request_may_lack_whatever_decides_nothing():
    event = one("pr_opened", actor=None, pullRequest__author=None, pullRequest__draft=None).event
    assert (event.sender, event.pull_request.author, event.pull_request.is_draft) == ("", "", False)


@pytest.mark.parametrize(
    "event",
    ["pr:modified", "pr:merged", "pr:declined", "pr:deleted", "pr:to_ref_updated", "repo:forked",
     "pr:comment:edited", "project:modified", "diagnostics:ping", ""],
)  # fmt: skip
def test_any_other_event_is_ignored_with_a_reason(event):
    ignored = BitbucketDataCenter().ignores(event)
    assert ignored is not None and len(ignored.reason) > 20
    assert BitbucketDataCenter().parse(event, '{"test":true}') == ignored


def test_a_comment_commands_by_the_slug_of_its_author_in_the_repository_it_is_meant_for():
    parsed = one("pr_comment_added")
    who = "ada_waterways.example"
    at, person = 1_795_169_642.0, "ada@waterways.example"
    assert parsed.command == Command(CommandWord.RERUN, 9, who, "", "62", at, person=person)
    assert (parsed.external_id, parsed.name) == ("62", "WATERWAYS/lock")
    assert parsed.event.ref == "refs/pull-requests/9/from"
    for author in (None, {"name": "ada"}, {"slug": "../admin"}):
        told = check("pr_comment_added", comment__author=author)
        assert isinstance(told, Ignored) and "no login" in told.reason
    assert check("pr_comment_added", comment__text=None) == NO_COMMAND
    with pytest.raises(Malformed):
        check("pr_comment_added", eventKey="pr:comment:edited")
