import copy
import json
from pathlib import Path

import pytest

from pipelines.event import EventKind
from pipelines.trust import Tier, tier_of
from webhooks.errors import Malformed
from webhooks.forge import Ignored
from webhooks.gitlab.parse import EVENTS, GitLab

FOLDER = Path(__file__).parents[2] / "forges" / "gitlab"
COMMIT = "1f0c3a5be2d94c7786ab01c2d3e4f5061728394a"
BEFORE = "9b8a7c6d5e4f30211203f4e5d6c7b8a99a8b7c6d"


def check(name, **attributes):
    """Parse an example, some fields of the merge request (or of the push) changed."""
    payload = copy.deepcopy(json.loads((FOLDER / f"{name}.json").read_text()))
    payload.get("object_attributes", payload).update(attributes)
    event = next(one for one in EVENTS if name.startswith(one))
    return GitLab().parse(event, json.dumps(payload))


def one(name, **attributes):
    (parsed,) = check(name, **attributes)
    return parsed


def test_a_push_names_its_branch_commit_sender_and_the_message_of_that_commit():
    parsed = one("push")
    event = parsed.event
    assert (parsed.external_id, parsed.name) == ("62", "waterways/lock")
    assert (event.kind, event.branch, event.sender) == (EventKind.PUSH, "main", "ada")
    assert (event.commit, event.before) == (COMMIT, BEFORE)
    assert event.message.startswith("Open the upper gate")
    assert tier_of(event) is Tier.TRUSTED


def test_an_annotated_tag_is_its_commit_and_not_the_tag_object():
    event = one("tag_push_annotated").event
    assert (event.kind, event.tag, event.commit) == (EventKind.TAG, "v1.2.0", COMMIT)
    assert event.before == ""


@pytest.mark.parametrize(
    ("name", "kind", "ref"),
    [
        ("push_branch_deleted", EventKind.BRANCH_DELETE, "refs/heads/old"),
        ("tag_push_deleted", EventKind.TAG_DELETE, "refs/tags/v0.1"),
    ],
)
def test_a_deletion_has_a_ref_and_no_commit(name, kind, ref):
    event = one(name).event
    assert (event.kind, event.ref, event.commit, event.message) == (kind, ref, "", "")


def test_a_merge_request_of_the_same_project_is_no_fork():
    parsed = one("merge_request_opened")
    event, pull = parsed.event, parsed.event.pull_request
    assert (event.kind, event.ref, event.commit) == (
        EventKind.PULL_REQUEST,
        "refs/merge-requests/7/head",
        COMMIT,
    )
    assert (pull.number, pull.action, pull.author) == (7, "opened", "cy")
    assert (pull.base_ref, pull.head_ref, pull.labels) == ("main", "wider", ["water", "wide"])
    assert (pull.is_fork, pull.head_repo, pull.is_draft) == (False, "62", False)
    assert tier_of(event) is Tier.TRUSTED


def test_one_from_another_project_is_untrusted():
    event = one("merge_request_fork").event
    pull = event.pull_request
    assert (pull.is_fork, pull.head_repo, pull.action) == (True, "77", "synchronize")
    assert (event.before, pull.is_draft) == (BEFORE, True)
    assert tier_of(event) is Tier.UNTRUSTED


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"source_project_id": 62},
        {"source": {"id": 62}},
        {"source_project_id": 0, "source": {}},
        {"source_project_id": "062", "source": {}},
    ],
)
def test_one_whose_source_project_is_gone_or_odd_is_untrusted(changes):
    event = one("merge_request_deleted_fork", **changes).event
    assert event.pull_request.is_fork
    assert tier_of(event) is Tier.UNTRUSTED


def test_a_target_that_is_not_the_project_that_tells_of_it_is_untrusted():
    event = one("merge_request_opened", source_project_id=77, target_project_id=77).event
    assert tier_of(event) is Tier.UNTRUSTED


@pytest.mark.parametrize("action", ["close", "merge", "approved", "unapproval", "new one", None])
def test_an_action_that_changes_no_code_is_ignored_with_a_reason(action):
    ignored = check("merge_request_opened", action=action)
    assert isinstance(ignored, Ignored) and len(ignored.reason) > 20


def test_an_update_is_taken_only_where_it_brought_commits():
    assert isinstance(check("merge_request_labels"), Ignored)
    parsed = one("merge_request_labels", oldrev=BEFORE)
    assert parsed.event.pull_request.action == "synchronize"


def test_a_merge_request_without_a_commit_is_ignored_and_with_zeros_malformed():
    assert isinstance(check("merge_request_opened", last_commit=None), Ignored)
    with pytest.raises(Malformed):
        check("merge_request_opened", last_commit={"id": "0" * 40})


@pytest.mark.parametrize(
    "header", ["Wiki Page Hook", "Pipeline Hook", "System Hook", "Job Hook", ""]
)
def test_a_hook_of_another_kind_is_ignored_with_a_reason(header):
    event = GitLab().event_name({"x-gitlab-event": header})
    ignored = GitLab().ignores(event)
    assert ignored is not None and "merge requests" in ignored.reason
    assert GitLab().parse(event, "not JSON") == ignored


@pytest.mark.parametrize(
    ("header", "event"),
    [
        ("Push Hook", "push"),
        ("Tag Push Hook", "tag_push"),
        ("Merge Request Hook", "merge_request"),
    ],
)
def test_the_headers_name_of_an_event_becomes_the_payloads(header, event):
    assert GitLab().event_name({"x-gitlab-event": header}) == event
    assert GitLab().ignores(event) is None


def test_a_header_that_contradicts_the_signed_payload_is_malformed():
    body = (FOLDER / "tag_push_annotated.json").read_text()
    with pytest.raises(Malformed, match="tag_push"):
        GitLab().parse("push", body)
