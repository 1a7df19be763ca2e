"""How the command line says what kind of trouble it is."""

import subprocess
import sys
from datetime import datetime
from itertools import takewhile

import pytest

from tests.e2e.answers import refused, said
from tests.e2e.installed import parsed

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]


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
