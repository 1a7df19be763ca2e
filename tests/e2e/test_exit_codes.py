"""How the command line says what kind of trouble it is."""

import subprocess
import sys
from datetime import datetime
from itertools import takewhile

import pytest

from tests.e2e.answers import refused, said
from tests.e2e.installed import FILE, parsed, plan

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

RED = """answer = await step.call("notes", "notes")
raise ValueError(f"the parent broke after {answer}")"""
CALLED = 'from staunch import on\n\non.manual()\n\n\nasync def run(event, step):\n    return "it"\n'


def test_the_exit_code_says_what_kind_of_trouble_it_is(here, repo):
    run = repo.plan("return 1")
    here.ended(run)
    assert parsed(here.staunch("show", run, "--json"))["state"] == "succeeded"
    told = said(here.staunch("start", repo.name, "main", code=1))
    assert "no full commit id" in told
    assert "Missing argument" in said(here.staunch("approve", run, code=2))
    assert "No such option" in said(here.staunch("cancel", run, "--why", "x", code=2))
    assert "No such command" in said(here.staunch("aprove", run, code=2))
    told = said(here.staunch("runs", "--server", "http://127.0.0.1:1", code=3))
    assert "is `staunch up` running?" in told
    for command in ("show", "logs", "history", "cancel"):
        assert "here is no run 'nonsense'" in said(here.staunch(command, "nonsense", code=4))
    assert "not registered" in said(here.staunch("start", "e2e/nowhere", "0" * 40, code=4))


def test_a_run_is_watched_to_its_end_and_the_exit_code_says_how_it_ended(here, repo):
    run = repo.plan(
        "await step.gate('go-live', inputs={'n': int})\nraise ValueError('it is not 4')"
    )
    here.waiting(run, "gate go-live")
    link = f"{here.installation.url}/runs/{run}"
    words = ["watch", link, "--server", here.installation.url, "--token", here.people[""]]
    command = [sys.executable, "-m", "ci_host", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        before = said("".join(takewhile(lambda line: "n: int" not in line, watching.stdout)))
        assert f"staunch approve {run} go-live --input n=…" in before
        here.staunch("approve", run, "go-live", "--input", "n=4")
        told = said(watching.stdout.read())
    assert watching.returncode == 1
    assert "succeeded go-live gate" in told
    assert "not 4" in told
    assert "in the pipeline" in told
    assert "succeeded" in here.staunch("watch", repo.plan("return 1"))


def test_of_a_run_that_is_over_each_thing_is_told_once(here, repo):
    run = repo.plan(
        "await step.job('unit', run='echo the-only-line; exit 3', retries=Retry(1, delay='0.1s'))"
    )
    here.ended(run)
    watched = here.installation.command("watch", run, token=here.people[""])
    assert watched.returncode == 1, watched.stderr
    lines = watched.stdout.splitlines()
    # Of two attempts the last lines are told, of that which broke the run at the end.
    assert [line.strip(" │") for line in lines].count("the-only-line") == 2
    assert sum(line.startswith(run) for line in lines) == 1
    assert sum(line.strip().startswith("the-only-line") for line in lines[-3:]) == 1


def test_times_of_day_stand_below_their_day_and_zone(here, repo):
    run = repo.plan("return 1")
    day = f"{datetime.fromtimestamp(here.ended(run)['created_at']).astimezone():%Y-%m-%d %Z}"
    assert f"timeline · {day}" in here.staunch("show", run)
    assert f"history · {day}" in here.staunch("history", run)


def test_in_a_checkout_no_run_need_be_named(here, repo, monkeypatch, tmp_path):
    run = repo.plan("raise ValueError('it is not 5')")
    here.ended(run)
    monkeypatch.chdir(repo.work)
    assert f"run {run}" in here.staunch("why")
    assert run in here.staunch("show")
    watched = here.installation.command("watch", token=here.people[""])
    assert (watched.returncode, "it is not 5" in watched.stdout) == (1, True), watched.stderr
    repo.commit({}, "not pushed")
    assert "which is checked out here, has no run" in said(here.staunch("why", code=4))
    monkeypatch.chdir(tmp_path)
    assert "which run? Name one" in said(here.staunch("show", code=2))


def test_in_a_checkout_all_pipelines_of_a_push_count_and_none_that_they_called(
    here, repo, monkeypatch
):
    green = plan("await step.job('lint', run='true')\nreturn 1")
    files = {".staunch/lint.py": green, ".staunch/notes.py": CALLED}
    commit = repo.pushed({FILE: plan(RED), **files})
    runs = {one["pipeline"]: one["id"] for one in here.runs(commit, 3)}
    for one in runs.values():
        here.ended(one)
    monkeypatch.chdir(repo.work)
    assert "the parent broke after it" in here.staunch("why")
    watched = here.installation.command("watch", token=here.people[""])
    assert (watched.returncode, "the parent broke" in watched.stdout) == (1, True), watched.stderr
    assert runs["lint"] in watched.stdout
    assert here.staunch("show").split()[0] in (runs["pipeline"], runs["lint"])
    told = here.installation.command("watch", "--json", token=here.people[""])
    ended = {parsed(line)["pipeline"]: parsed(line)["state"] for line in told.stdout.splitlines()}
    assert (told.returncode, ended) == (1, {"pipeline": "failed", "lint": "succeeded"})


def test_a_commit_that_another_branch_had_is_watched_when_its_own_run_begins(here, repo):
    old = repo.plan("if event.branch != 'main':\n    raise ValueError('only main is well')")
    here.ended(old)
    repo.git("checkout", "-q", "-b", "feature")
    repo.push_silently("feature")
    commit = repo.git("rev-parse", "HEAD")
    words = ["watch", "--server", here.installation.url, "--token", here.people[""]]
    command = [sys.executable, "-m", "ci_host", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=repo.work) as watching:
        assert watching.stdout is not None
        assert f"no run of commit {commit[:10]} of feature yet" in watching.stdout.readline()
        here.hook(repo, [("0" * 40, commit, "refs/heads/feature")])
        told = said(watching.stdout.read())
    assert (watching.returncode, "only main is well" in told, old in told) == (1, True, False)


def test_a_wrong_token_is_refused_with_what_to_do(here, monkeypatch):
    monkeypatch.setitem(here.people, "stranger", "stn_" + "x" * 43)
    told = said(here.staunch("runs", code=1, who="stranger"))
    assert "does not know this token" in told
    assert "--token or STAUNCH_TOKEN" in told
    assert "`staunch token add`" in told
    refused(here.call("GET", "/runs", who="stranger"), 401, "unknown, revoked or expired", "Bearer")
    for wrong in ("größe", " "):
        told = said(here.staunch("runs", "--token", wrong, code=1))
        assert "--token or STAUNCH_TOKEN" in told
