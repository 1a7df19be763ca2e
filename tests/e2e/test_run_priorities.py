"""Priorities, seen from outside: what is declared, said by hand and kept, and where it is shown."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.demo.installation import until
from tests.e2e.installed import FILE, TIMEOUT_S, Installed, Registered, installed, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]


def test_a_priority_is_declared_or_said_by_hand_kept_and_shown(
    here: Installed, repo: Registered
) -> None:
    commit = repo.pushed({FILE: plan("return 1", top="on.push(); on.priority('high')")})
    run = here.run(commit)
    assert here.ended(run)["priority"] == "high"
    assert "· pipeline high ·" in " ".join(here.staunch("show", run).split())
    assert "<dt>Priority</dt><dd>high</dd>" in here.page(f"/runs/{run}")
    assert "high priority" in here.page(f"/?repo={repo.name}")
    # A commit that ran before is started from what is kept of it.
    started = here.staunch("start", repo.name, commit).strip()
    urgent = here.staunch("start", repo.name, commit, "--priority", "urgent").strip()
    again = here.staunch("rerun", urgent).split()[0]
    calm = here.staunch("rerun", urgent, "--priority", "normal").split()[0]
    forked = here.staunch("fork", urgent, "--priority", "low").split()[0]
    levels = [here.ended(one)["priority"] for one in (started, urgent, again, calm, forked)]
    assert levels == ["high", "urgent", "urgent", "normal", "low"]
    # One that did not goes the way of a webhook.
    other = repo.silent({FILE: plan("return 2", top="on.priority('high')")})
    declared = here.staunch("start", repo.name, other).strip()
    assert here.ended(declared)["priority"] == "high"
    third = repo.silent({FILE: plan("return 3", top="on.priority('high')")})
    low = here.staunch("start", repo.name, third, "--priority", "low").strip()
    fork = here.staunch("fork", low, "--commit", other).split()[0]
    assert [here.ended(one)["priority"] for one in (low, fork)] == ["low", "low"]


def test_a_priority_that_there_is_not_is_refused_with_what_there_is(
    here: Installed, repo: Registered
) -> None:
    commit = repo.pushed({FILE: plan("return 1", top="on.priority('highest')")})
    error = here.ended(here.run(commit))["error"]
    assert "on.priority's level must be one of urgent, high, normal, low" in error["message"]
    assert (error["file"], error["line"]) == (FILE, 4)
    said = here.staunch("start", repo.name, commit, "--priority", "highest", code=2)
    assert "urgent" in said and "low" in said
    body = {"repo": repo.name, "commit": commit, "priority": "highest"}
    refused = here.call("POST", "/runs", body)
    assert refused.status == 422
    assert "'urgent', 'high', 'normal' or 'low'" in str(refused.body)


# At work until somebody lets it go.
JOB = """await step.job(
    "build", run="while [ ! -e /volumes/shared/go ]; do sleep 0.05; done", volumes=["shared"]
)"""


@pytest.fixture
def folder():
    """A folder that other users may enter, as jobs do."""
    made = Path(tempfile.mkdtemp(prefix="staunch-priority-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_the_only_slot_takes_the_jobs_of_the_most_important_run_next(folder: Path) -> None:
    volume = folder / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    options = ("--slots", "1", "--volume", f"shared={volume}")
    with installed(folder, *options) as alone:
        repo = alone.repo("queue")

        def attempt(run: str) -> dict[str, object]:
            return next(iter(alone.show(run)["attempts"]), {})

        def pushed(level: str) -> str:
            return repo.plan(JOB, top=f"on.push(); on.priority('{level}')")

        def offered(run: str, state: str) -> None:
            until(f"a job of {run}", lambda: attempt(run).get("state") == state, TIMEOUT_S)

        first = pushed("low")
        offered(first, "running")
        runs = []
        for level in ("low", "normal", "low", "high"):
            runs.append(pushed(level))
            offered(runs[-1], "queued")
        commit = alone.show(runs[0])["commit"]
        runs.append(alone.staunch("start", repo.name, commit, "--priority", "urgent").strip())
        offered(runs[-1], "queued")
        (volume / "go").touch()
        ended = [alone.ended(run) for run in (first, *runs)]
        assert {one["state"] for one in ended} == {"succeeded"}
        begun = sorted(ended, key=lambda one: one["attempts"][0]["started_at"])
        assert [one["priority"] for one in begun] == [
            "low",
            "urgent",
            "high",
            "normal",
            "low",
            "low",
        ]
        assert [one["id"] for one in begun[-2:]] == [runs[0], runs[2]]
