"""Repositories and pushes that are wrong, odd or hostile: recorded, explained, and harmless."""

import re

import pytest

from pipelines.bundle import FILE_BYTES_MAX
from tests.e2e.installed import FILE, ZERO, delivery_of, parsed, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

NOTHING = {FILE: plan("return 1")}
NOWHERE = "4" * 40


def ignored(here, delivery) -> str:
    """The reason why a delivery started nothing."""
    assert (delivery["state"], delivery["runs"]) == ("ignored", [])
    return delivery["reason"]


def test_a_push_to_an_unknown_repository_is_recorded_and_the_reason_is_listed(here, repo):
    commit = repo.pushed(NOTHING)
    here.ended(here.run(commit))
    repo.bare = repo.bare.with_name("another.git")
    identity, answer = here.hook(repo, [(ZERO, commit, "refs/heads/main")])
    assert answer.status == 202
    reason = ignored(here, here.outcome(identity))
    assert f"({repo.bare}) is not registered here" in reason
    assert "staunch repo add" in reason
    listed = parsed(here.staunch("deliveries", "--json"))["deliveries"]
    assert reason in [delivery["reason"] for delivery in listed]
    words = " ".join(here.staunch("deliveries").replace("│", " ").split())
    assert "is not registered" in words


def test_a_call_that_is_not_signed_for_its_connection_is_refused_and_not_recorded(here, repo):
    repo.key = b"another key, of another connection"
    identity, answer = here.hook(repo, [(ZERO, NOWHERE, "refs/heads/main")])
    assert answer.status == 401
    assert identity not in str(here.get("/deliveries"))


def test_a_commit_that_no_longer_exists_is_told_on_the_commit(here, repo):
    repo.pushed(NOTHING)
    identity, _ = here.hook(repo, [(ZERO, NOWHERE, "refs/heads/gone")])
    reason = ignored(here, here.outcome(identity))
    assert f"commit {NOWHERE} no longer exists" in reason
    assert "Push it again" in reason
    verdict = here.verdict(NOWHERE, "staunch")
    assert verdict.state == "error"
    assert "no longer exists" in verdict.description


def test_a_commit_without_a_pipeline_is_ignored_with_what_to_add(here, repo):
    commit = repo.pushed({"README.md": "Nothing here."})
    reason = ignored(here, delivery_of(here, repo))
    assert f"commit {commit} has no pipeline: add .staunch/pipeline.py" in reason
    assert here.told(commit, "staunch") == []


def linked(repo) -> str:
    (repo.work / ".staunch").mkdir()
    (repo.work / FILE).symlink_to("/etc/passwd")
    return "is a symbolic link"


def huge(repo) -> str:
    repo.write({FILE: "#" * (FILE_BYTES_MAX + 1)})
    return f"has {FILE_BYTES_MAX + 1} bytes"


def no_text(repo) -> str:
    repo.write(NOTHING)
    (repo.work / FILE).write_bytes(b"\xff\xfe")
    return "is not UTF-8 text"


@pytest.mark.parametrize("spoil", [linked, huge, no_text])
def test_a_pipeline_file_that_cannot_be_read_is_told_on_the_commit(here, repo, spoil):
    rule = spoil(repo)
    commit = repo.pushed({})
    reason = ignored(here, delivery_of(here, repo))
    assert reason.startswith(f"{FILE} {rule}")
    verdict = here.verdict(commit, "staunch")
    assert verdict.state == "error"
    assert verdict.description.startswith(f"{FILE} {rule}")
    assert verdict.target_url.endswith("/deliveries")


@pytest.mark.parametrize(
    "branch",
    [
        'a";touch${IFS}pwned;"$(touch${IFS}pwned)',
        "`touch${IFS}pwned`|touch${IFS}pwned&'x'",
        "--upload-pack=touch",
        "<script>alert(1)</script>",
        "größe/分支-😀",
        "%2e%2e/%00#x=1&y",
    ],
)
def test_a_branch_of_any_name_arrives_as_it_is_and_executes_nothing(here, repo, branch):
    body = """
    await step.job("where", run='printf "<%s>" "$STAUNCH_BRANCH" "$STAUNCH_REF"; ls -A')
    return event.branch
    """
    body = "\n".join(line.strip() for line in body.strip().splitlines())
    commit = repo.pushed({FILE: plan(body)}, branch=branch)
    ended = here.ended(here.run(commit))
    assert (ended["state"], ended["output"], ended["ref"]) == (
        "succeeded",
        branch,
        f"refs/heads/{branch}",
    )
    log = here.staunch("logs", ended["id"])
    assert f"<{branch}><refs/heads/{branch}>" in log
    assert not re.search(r"^pwned$", log, re.MULTILINE)
    listed = here.get("/runs?limit=200")["runs"]
    assert f"refs/heads/{branch}" in [run["ref"] for run in listed]
    assert here.verdict(commit).state == "success"


def test_a_tag_is_an_event_of_its_own(here, repo):
    top = "on.tag('v*')"
    commit = repo.pushed({FILE: plan("return [event.kind, event.tag, event.branch]", top)})
    assert "no pipeline runs on push of refs/heads/main" in ignored(here, delivery_of(here, repo))
    repo.git("tag", "-a", "-m", "the first", "v1")
    repo.git("push", "-q", "origin", "v1")
    ended = here.ended(here.run(commit))
    assert (ended["event"], ended["ref"]) == ("tag", "refs/tags/v1")
    assert ended["output"] == ["tag", "v1", ""]
    assert here.verdict(commit, "staunch/pipeline (tag)").state == "success"


def test_a_branch_that_is_deleted_starts_nothing(here, repo):
    here.ended(here.run(repo.pushed(NOTHING, branch="topic")))
    repo.git("push", "-q", "origin", ":refs/heads/topic")
    assert "refs/heads/topic was deleted" in ignored(here, delivery_of(here, repo, 2))


def test_the_same_delivery_twice_is_one_run_and_the_second_is_called_a_duplicate(here, repo):
    commit = repo.silent(NOTHING)
    change = (ZERO, commit, "refs/heads/main")
    first, answer = here.hook(repo, [change])
    assert (answer.status, answer.body["duplicate"]) == (202, False)
    again = here.hook(repo, [change], identity=first)[1]
    assert (again.status, again.body) == (202, {"delivery": first, "duplicate": True})
    assert here.outcome(first)["runs"] == [here.run(commit)]
    listed = here.get("/deliveries?limit=200")["deliveries"]
    assert [d["id"] for d in listed].count(first) == 1


def test_a_commit_is_one_run_for_each_event_ref_and_pipeline_however_often_it_is_told(here, repo):
    commit = repo.silent({**NOTHING, ".staunch/nightly.py": plan("return 2")})
    repo.push("topic")
    started = [run["id"] for run in here.runs(commit, 2)]
    told = []
    for _ in range(2):
        changes = [(ZERO, commit, "refs/heads/main"), (ZERO, commit, "refs/heads/topic")]
        told.append(here.outcome(here.hook(repo, changes)[0])["runs"])
    assert told[0] == told[1]
    assert len(told[0]) == len(set(told[0])) == 4
    assert set(started) < set(told[0])
    found = {run["id"]: (run["ref"], run["pipeline"]) for run in here.runs(commit, 4)}
    assert sorted(found.values()) == [
        ("refs/heads/main", "nightly"),
        ("refs/heads/main", "pipeline"),
        ("refs/heads/topic", "nightly"),
        ("refs/heads/topic", "pipeline"),
    ]
    assert sorted(found) == sorted(told[0])


HOSTILE = "<script>window.pwned = 1</script><img src=x onerror=window.pwned=1>"


def test_hostile_text_is_shown_and_never_runs(here, repo):
    source = plan(f"await step.job('unit', run='echo \"$HOSTILE\"; exit 1', env={{'HOSTILE': "
                  f"{f'a.py:3: error: {HOSTILE}'!r}}})")  # fmt: skip
    branch = "<script>pwned</script>"
    commit = repo.pushed({FILE: source}, message=HOSTILE, branch=branch)
    ended = here.ended(here.run(commit))
    assert ended["title"] == HOSTILE
    assert HOSTILE in ended["attempts"][0]["annotations"][0]["message"]
    for path in (f"/runs/{ended['id']}", "/", "/deliveries"):
        page = here.page(path)
        assert "<img src=x" not in page
        assert "pwned</script" not in page.lower()
        assert "window.pwned = 1</script" not in page
    assert "&lt;script&gt;pwned&lt;/script&gt;" in here.page(f"/runs/{ended['id']}")
    assert HOSTILE in here.staunch("logs", ended["id"])
