"""The operator's verbs on a real installation: pause, resume, kill, rerun, export, replay."""

import json
from pathlib import Path

import pytest

from tests.demo.installation import until
from tests.e2e.installed import TIMEOUT_S

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]


def said(output):
    assert "Traceback" not in output
    return " ".join(output.split())


def in_state(here, run, state):
    return until(
        f"{run} to be {state}",
        lambda: (found := here.show(run))["state"] == state and found,
        TIMEOUT_S,
    )


def test_a_paused_run_keeps_an_answer_until_it_is_resumed(here, repo):
    run = repo.plan("return (await step.gate('go-live', approvers=['@ops'])).by")
    here.waiting(run, "gate go-live")
    assert "told to pause" in said(here.staunch("pause", run, "--reason", "release", who="linus"))
    held = in_state(here, run, "paused")["waiting_for"]
    assert held.startswith("paused by linus since ") and held.endswith(": release")
    assert "paused already, by linus" in said(here.staunch("pause", run, code=1))
    assert "paused by linus" in said(here.staunch("show", run))
    assert here.answer(run, "go-live").status == 200
    assert here.show(run)["state"] == "paused"
    here.staunch("resume", run)
    assert here.ended(run)["output"] == ["grace"]
    assert f"run {run} is over" in said(here.staunch("resume", run, code=1))


def test_a_killed_run_is_over_at_once_and_its_commit_knows_why(here, repo):
    run = repo.plan(
        "try:\n    await step.gate('go-live')\nfinally:\n    await step.gate('cleanup')"
    )
    here.waiting(run, "gate go-live")
    here.staunch("cancel", run)
    here.waiting(run, "gate cleanup")
    here.staunch("kill", run, "--reason", "it hangs", who="linus")
    ended = here.ended(run)
    assert (ended["state"], ended["error"]["message"]) == ("cancelled", "killed by linus: it hangs")
    verdict = here.verdict(ended["commit"])
    assert (verdict.state, verdict.description) == ("error", "killed by linus: it hangs")


def test_what_failed_is_tried_again_alone_and_its_file_replays(here, repo, tmp_path):
    run = repo.plan(
        "await step.job('build', run='true')\n"
        "await step.gate('go-live', approvers=['@ops'])\n"
        "await step.job('deploy', run='false')"
    )
    here.waiting(run, "gate go-live")
    assert here.answer(run, "go-live").status == 200
    assert here.ended(run)["state"] == "failed"
    told = said(here.staunch("rerun", run, "--failed-only"))
    again = told.split()[0]
    assert told == f"{again} is attempt 2, with 2 results of {run}"
    ended = here.ended(again)
    assert [one["key"] for one in ended["attempts"]] == ["deploy"]
    assert {s["key"]: s["recalled_from"] for s in ended["steps"]} == {
        "build": run, "go-live": run, "deploy": "",
    }  # fmt: skip
    assert [one["run"] for one in here.show(run)["reruns"]] == [again]
    file = tmp_path / "run.jsonl"
    here.staunch("export", again, "--to", str(file))
    assert json.loads(file.read_text().splitlines()[0])["run"] == again
    for what in (str(file), run):
        assert "replays as recorded" in said(here.staunch("replay", what))
    file.write_text(file.read_text()[:-10])
    assert "was cut" in said(here.staunch("replay", str(file), code=1))


GOLDEN = Path(__file__).parents[1] / "golden/codec-1"


def test_the_record_of_another_installation_is_taken_in_once(here, tmp_path):
    file = min(GOLDEN.glob("*.jsonl"))
    run = file.stem
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(file.read_bytes()[:-10])
    assert "was cut" in said(here.staunch("import", str(cut), code=1))
    assert said(here.staunch("import", str(file))).startswith(run)
    assert f"has a run {run}" in said(here.staunch("import", str(file), code=1))
    shown = here.show(run)
    assert shown["is_imported"] and shown["history"]
    assert "imported" in said(here.staunch("show", run))
    copy = tmp_path / "copy.jsonl"
    here.staunch("export", run, "--to", str(copy))
    assert copy.read_bytes() == file.read_bytes()
    assert "replays as recorded" in said(here.staunch("replay", run, "--here"))
    assert "no run" in said(here.staunch("pause", run, code=4))
