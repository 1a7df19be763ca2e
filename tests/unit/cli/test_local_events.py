"""`--event`: the event of a working tree, and the refs that it needs."""

import json
import subprocess
from pathlib import Path

import msgspec
import pytest

from ci_host.cli.client import ClientError
from ci_host.cli.local_events import Checkout, checkout_of, event_of, lay
from ci_host.cli.working_tree import Snapshot, snapshot, top_of
from pipelines.event import Event, EventKind
from tests.repos import Repo

COMMIT, HEAD, UPSTREAM, BASE = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
HERE = Checkout(UPSTREAM, "main", BASE, HEAD, "a change\n", is_shallow=False)


def taken(*, commit: str = COMMIT, ref: str = "refs/heads/feature") -> Snapshot:
    return Snapshot(Path("/w/shop"), Path("/b/shop.git"), commit, ref, 1)


def check(asked: str, of: Snapshot | None = None, here: Checkout = HERE) -> Event:
    return event_of(asked, of or taken(), here)


def test_a_push_is_of_the_branch_that_is_checked_out_since_what_was_pushed_before() -> None:
    event = check("push")
    assert (event.kind, event.branch, event.commit) == (EventKind.PUSH, "feature", COMMIT)
    assert (event.before, event.message) == (UPSTREAM, "")
    clean = check("push", taken(commit=HEAD))
    assert clean.message == "a change\n"
    assert check("push", taken(ref="")).ref == "refs/heads/detached"


def test_a_pull_request_is_into_the_branch_that_others_start_from() -> None:
    event = check("pr")
    request = event.pull_request
    assert request is not None
    assert (event.kind, event.ref) == (EventKind.PULL_REQUEST, "refs/pull/1/head")
    assert (request.base_ref, request.base_commit, request.head_ref) == ("main", BASE, "feature")
    own = check("pr", taken(ref="refs/heads/main")).pull_request
    assert own is not None
    assert own.head_ref != "main"


def test_a_tag_has_the_name_that_was_given() -> None:
    event = check("tag:v1.2")
    assert (event.kind, event.tag, event.commit) == (EventKind.TAG, "v1.2", COMMIT)
    with pytest.raises(ClientError, match="names no tag"):
        check("tag:")


def test_a_file_is_the_event_as_it_is_and_the_working_tree_fills_what_it_leaves_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "event.json"
    path.write_text('{"kind": "release", "ref": "refs/tags/v2", "release": {"name": "Two"}}')
    event = check(str(path))
    assert (event.kind, event.tag, event.commit) == (EventKind.RELEASE, "v2", COMMIT)
    path.write_text('{"kind": "push"}')
    assert check(str(path)).ref == "refs/heads/feature"
    recorded = msgspec.to_builtins(check("pr", taken(commit=HEAD)))
    stored = {"run": "r", "inputs": [{"sequence": 1, "body": {"type": "x", "event": recorded}}]}
    path.write_text(json.dumps(stored))
    assert check(str(path)) == check("pr", taken(commit=HEAD))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no event"),
        ('{"kind": "party"}', "is no event"),
        ("[" * 100_000, "is no event"),
        ('{"kind": "push", "commit": "abc"}', "no full commit id"),
    ],
    ids=["no-json", "no-kind", "deep", "short-commit"],
)
def test_what_is_no_event_is_told_with_the_file(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "event.json"
    path.write_text(content)
    with pytest.raises(ClientError, match=told) as refused:
        check(str(path))
    assert refused.value.exit_code == 2
    with pytest.raises(ClientError, match="push, pr, tag:NAME"):
        check("pushed")


def test_the_refs_of_a_pull_request_lead_where_its_forge_would_have_them(tmp_path: Path) -> None:
    repo = Repo(tmp_path)
    base = repo.commit({".staunch/pipeline.py": "async def run(event, step): ...\n"})
    repo.push()
    repo.git("checkout", "-q", "-b", "feature")
    repo.write({"new": ""})
    top = top_of(repo.work)
    found = snapshot(top, tmp_path / "taken.git")
    event = event_of("pr", found, checkout_of(top))
    lay(event, found, checkout_of(top))
    said = ["git", "-C", str(found.bare), "for-each-ref", "--format=%(refname) %(objectname)"]
    refs = subprocess.run(said, check=True, capture_output=True, text=True).stdout
    assert dict(line.split(" ") for line in refs.splitlines()) == {
        "refs/heads/main": base,
        "refs/heads/feature": found.commit,
        "refs/pull/1/head": found.commit,
    }
    elsewhere = msgspec.structs.replace(event, commit="e" * 40)
    with pytest.raises(ClientError, match="which is not in"):
        lay(elsewhere, found, checkout_of(top))


def test_a_snapshot_apart_is_another_commit_with_the_same_files(tmp_path: Path) -> None:
    repo = Repo(tmp_path)
    head = repo.commit({".staunch/pipeline.py": "async def run(event, step): ...\n"}, "[skip ci]")
    found = snapshot(top_of(repo.work), tmp_path / "taken.git")
    apart = snapshot(top_of(repo.work), tmp_path / "taken.git", apart="1")
    again = snapshot(top_of(repo.work), tmp_path / "taken.git", apart="2")
    assert found.commit == head
    assert len({found.commit, apart.commit, again.commit}) == 3
    assert found.tree == apart.tree == again.tree
    assert apart.changed == 0
