import copy
import json

import msgspec
import pytest

from pipelines.event import EventKind
from pipelines.repo import Delivery, ForgeKind
from tests.payloads import EVENTS, PAYLOADS, event_of, kind_of
from webhooks.errors import Malformed
from webhooks.forge import Ignored
from webhooks.payload import MESSAGE_CHARS_MAX
from webhooks.registry import FORGES, parse_delivery

COMMIT = "1f0c3a5be2d94c7786ab01c2d3e4f5061728394a"
BEFORE = "9b8a7c6d5e4f30211203f4e5d6c7b8a99a8b7c6d"
DEEP = '{"deep": ' + "[" * 50_000
TAG_OBJECT = "77777777aaaabbbbccccddddeeeeffff00001111"


def check(payload_name: str, changes=None):
    """Parse a fixture, some of its fields changed, as it would come out of the inbox."""
    payload = copy.deepcopy(PAYLOADS[payload_name])
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        place = payload
        for parent in parents:
            place = place[parent]
        place[last] = value
    return parse_delivery(
        Delivery(
            connection="c",
            id="delivery-1",
            kind=kind_of(payload_name),
            event=event_of(payload_name),
            received_at=0.0,
            body=json.dumps(payload),
        )
    )


def one(payload_name: str, changes=None):
    (parsed,) = check(payload_name, changes)
    return parsed


@pytest.mark.parametrize("forge", ["github", "gitea"])
def test_a_push_names_its_branch_commit_author_and_message(forge):
    parsed = one(f"{forge}/push")
    assert parsed.external_id == {"github": "4711", "gitea": "31"}[forge]
    assert parsed.name == "waterways/lock"
    event = parsed.event
    assert (event.kind, event.branch, event.tag) == (EventKind.PUSH, "main", "")
    assert (event.commit, event.before, event.sender) == (COMMIT, BEFORE, "ada")
    assert event.message.startswith("Open the upper gate")
    assert event.delivery == "delivery-1"


def test_a_forced_push_says_so_and_unknown_fields_are_nothing_special():
    event = one("github/push_forced_new_field").event
    assert event.forced
    assert event.branch == "feature/$(id)"


@pytest.mark.parametrize("forge", ["github", "gitea"])
def test_an_annotated_tag_is_its_commit_and_not_the_tag_object(forge):
    event = one(f"{forge}/push_annotated_tag").event
    assert (event.kind, event.tag, event.commit) == (EventKind.TAG, "v1.2.0", COMMIT)
    assert event.before == ""


@pytest.mark.parametrize("forge", ["github", "gitea"])
def test_without_a_head_commit_a_tag_is_what_after_says(forge):
    assert one(f"{forge}/push_annotated_tag", {"head_commit": None}).event.commit == TAG_OBJECT


@pytest.mark.parametrize(
    ("name", "kind", "ref"),
    [
        ("github/push_branch_deleted", EventKind.BRANCH_DELETE, "refs/heads/old"),
        ("github/push_tag_deleted", EventKind.TAG_DELETE, "refs/tags/v0.1"),
        ("gitea/delete_branch", EventKind.BRANCH_DELETE, "refs/heads/old"),
        ("gitea/delete_tag", EventKind.TAG_DELETE, "refs/tags/v0.1"),
    ],
)
def test_a_deletion_has_a_ref_and_no_commit(name, kind, ref):
    event = one(name).event
    assert (event.kind, event.ref, event.commit, event.message) == (kind, ref, "", "")


def test_gitea_tells_of_a_deletion_twice_and_one_is_taken():
    assert isinstance(check("gitea/push_of_zeros"), Ignored)
    assert isinstance(FORGES[ForgeKind.GITEA].parse("create", "{}"), Ignored)


@pytest.mark.parametrize("forge", ["github", "gitea"])
def test_a_pull_request_of_the_same_repository_is_no_fork(forge):
    parsed = one(f"{forge}/pull_request_opened")
    event, pull = parsed.event, parsed.event.pull_request
    assert (event.kind, event.ref, event.commit) == (
        EventKind.PULL_REQUEST,
        "refs/pull/7/head",
        COMMIT,
    )
    assert (event.branch, event.tag, pull.number, pull.action) == ("", "", 7, "opened")
    assert (pull.base_ref, pull.base_commit, pull.head_ref) == ("main", BEFORE, "wider")
    assert (pull.author, pull.is_fork, pull.head_repo) == ("cy", False, parsed.external_id)
    assert pull.labels[0] == "water"


@pytest.mark.parametrize("forge", ["github", "gitea"])
def test_a_fork_is_one_and_its_new_commits_are_called_the_same_everywhere(forge):
    pull = one(f"{forge}/pull_request_fork").event.pull_request
    assert (pull.is_fork, pull.action) == (True, "synchronize")
    assert pull.head_repo == {"github": "5812", "gitea": "45"}[forge]


@pytest.mark.parametrize("forge", ["github", "gitea"])
def test_a_deleted_fork_is_still_a_fork(forge):
    pull = one(f"{forge}/pull_request_deleted_fork").event.pull_request
    assert (pull.is_fork, pull.head_repo) == (True, None)


def test_drafts_say_so_and_are_parsed():
    assert one("github/pull_request_fork").event.pull_request.is_draft


@pytest.mark.parametrize(
    "name",
    [
        *("github/pull_request_labeled", "gitea/pull_request_labels", "github/ping"),
        *("github/check_run_of_nobody", "github/check_suite_requested"),
        *("github/installation_created", "github/installation_repositories_added"),
    ],
)
def test_what_changes_no_code_is_ignored_with_a_reason(name):
    ignored = check(name)
    assert isinstance(ignored, Ignored)
    assert len(ignored.reason) > 20


def test_one_push_of_plain_git_is_an_event_for_each_branch_and_tag():
    parsed = check("git/push")
    assert [(one.event.kind, one.event.ref, one.event.commit) for one in parsed] == [
        (EventKind.PUSH, "refs/heads/main", COMMIT),
        (EventKind.TAG, "refs/tags/v1.2.0", COMMIT),
        (EventKind.BRANCH_DELETE, "refs/heads/old", ""),
        (EventKind.TAG_DELETE, "refs/tags/v0.1", ""),
    ]
    assert {one.external_id for one in parsed} == {"/srv/git/lock.git"}
    assert {one.event.sender for one in parsed} == {"ada"}


def test_a_push_of_notes_alone_is_ignored():
    change = {"old": BEFORE, "new": COMMIT, "ref": "refs/notes/commits"}
    assert isinstance(check("git/push", {"changes": [change]}), Ignored)


def test_a_sha256_repository_has_longer_commits():
    event = one("github/push", {"after": "a" * 64, "before": "0" * 64}).event
    assert (event.commit, event.before) == ("a" * 64, "")


@pytest.mark.parametrize(
    "branch", ['a";id;"', "$(id)", "`id`", "-x", "--upload-pack=id", "ünï/cødé", "a'b&c|d<e>f", "@"]
)
def test_a_branch_that_git_allows_arrives_byte_for_byte(branch):
    assert one("github/push", {"ref": f"refs/heads/{branch}"}).event.branch == branch


@pytest.mark.parametrize(
    "ref",
    (
        *("", "main", "-x", "refs/heads/", "refs/heads/a b", "refs/heads/a\n", "refs/heads/a\x00b"),
        *("refs/heads/../../etc", "refs/heads/a..b", "refs/heads/a.lock", "refs/heads//a"),
        *("refs/heads/.a", "refs/heads/a/.b", "refs/heads/a@{1}", "refs/heads/a~1"),
        "refs/heads/a:b",
    ),
)
def test_a_ref_that_git_would_refuse_is_malformed(ref):
    with pytest.raises(Malformed):
        check("github/push", {"ref": ref})


@pytest.mark.parametrize(
    "commit", ["", "HEAD", "a" * 39, "a" * 41, "A" * 40, "-" + "a" * 39, "a" * 39 + "\n"]
)
@pytest.mark.parametrize("name", ["github/push", "gitea/push"])
def test_a_commit_is_forty_or_sixty_four_hex_digits(name, commit):
    with pytest.raises(Malformed):
        check(name, {"after": commit})


@pytest.mark.parametrize("forge", ["github", "gitea"])
def test_a_pull_request_without_a_head_commit_is_malformed(forge):
    with pytest.raises(Malformed):
        check(f"{forge}/pull_request_opened", {"pull_request.head.sha": "0" * 40})


def test_what_people_write_at_length_is_cut_before_it_enters_a_history():
    assert len(one("github/push", {"head_commit.message": "x" * 10**6}).event.message) == (
        MESSAGE_CHARS_MAX
    )
    labels = [{"name": "l" * 10_000}] * 1_000
    pull = one("github/pull_request_opened", {"pull_request.labels": labels}).event.pull_request
    assert len(msgspec.json.encode(pull)) < 40_000


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "1e400", '"\\ud800"', "{}", DEEP])
@pytest.mark.parametrize("kind", list(ForgeKind))
def test_what_is_no_payload_at_all_is_malformed(kind, body):
    with pytest.raises(Malformed):
        FORGES[kind].parse(EVENTS[kind]["push"], body)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("github/pull_request_opened", "pull_request.number"),
        ("gitea/pull_request_opened", "pull_request.number"),
        ("gitlab/merge_request_opened", "object_attributes.iid"),
        ("bitbucket/pullrequest_created", "pullrequest.id"),
        ("bitbucket_dc/pr_opened", "pullRequest.id"),
    ],
)
@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, 10**30])
def test_a_pull_request_has_a_number_that_can_be_kept(name, field, number):
    with pytest.raises(Malformed, match="numbers start at 1"):
        check(name, {field: number})
