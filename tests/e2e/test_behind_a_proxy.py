"""Commands that follow, behind a proxy whose host is started again meanwhile; and a shell whose
variables name a proxy."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.demo.installation import until
from tests.e2e.answers import at_gate
from tests.e2e.front import Front
from tests.e2e.installed import FILE, TIMEOUT_S, plan
from tests.repos import Repo

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]


@pytest.fixture
def front(here) -> Iterator[Front]:
    with Front(here.installation.url) as made:
        yield made


@contextmanager
def following(here, front: Front, *words: str, who: str = "") -> Iterator["subprocess.Popen[str]"]:
    """The command, which asks by the proxy; ended at the end if it has not."""
    command = [sys.executable, "-m", "ci_host", *words, "--server", front.url]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, "--token", here.people[who]], stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def rest(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """What it prints and complains of from here on, to its end."""
    assert process.stdout is not None and process.stderr is not None
    told = process.stdout.read(), process.stderr.read()
    process.wait(TIMEOUT_S)
    return told


def has_missed(front: Front, what: str) -> None:
    until(f"a 502 for {what}", lambda: any(what in path for path in front.missed), TIMEOUT_S)


def restarted(here, front: Front) -> None:
    """All of it, as for a new version; by then somebody may ask again."""
    here.installation.kill()
    here.installation.start()
    front.find()


SLOW = """
await step.gate('go')
await step.job('slow', run='echo one; sleep 5; echo two')
"""


def test_a_log_and_a_run_are_followed_to_their_ends(here, repo, front):
    run = at_gate(here, repo, SLOW, "go")
    with following(here, front, "watch", run) as watching:
        assert watching.stdout is not None
        assert run in watching.stdout.readline()
        here.answer(run, "go", who="")
        until("its job", lambda: here.show(run)["attempts"], TIMEOUT_S)
        with following(here, front, "logs", run, "-f") as log:
            assert log.stdout is not None
            assert "one\n" in log.stdout
            front.lose()
            has_missed(front, "/log/stream")
            has_missed(front, f"/runs/{run}")
            restarted(here, front)
            told, said = rest(log)
        assert log.returncode == 0, said
        assert "two\n" in told and "one\n" not in told
        assert said.count("Waiting for it") == 1
        told, said = rest(watching)
    assert watching.returncode == 0, told + said
    assert "succeeded slow job" in told


def test_events_come_for_ever_each_once_until_somebody_may_not_have_them(here, repo, front):
    body = {"name": "leaver", "repos": [repo.name], "scope": "read"}
    here.people["leaver"] = here.call("POST", "/tokens", body).body["secret"]
    first = repo.plan("return 1")
    here.ended(first)
    with following(here, front, "events", "--follow", who="leaver") as events:
        assert events.stdout is not None
        told = [json.loads(events.stdout.readline())["subject"] for _ in range(2)]
        assert told == [first] * 2
        front.lose()
        has_missed(front, "/events/stream")
        second = repo.plan("return 2")
        here.ended(second)
        restarted(here, front)
        told = [json.loads(events.stdout.readline())["subject"] for _ in range(2)]
        assert told == [second] * 2
        here.staunch("token", "revoke", "leaver")
        told, said = rest(events)
    assert (events.returncode, told) == (1, ""), said
    assert "does not know this token" in said


def test_whoever_is_not_there_from_the_beginning_is_not_waited_for(here, front):
    front.lose()
    with following(here, front, "events", "-f") as events:
        _, said = rest(events)
    assert events.returncode == 3
    assert f"{front.url} answered 502 with a page" in said


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_a_checkout_is_run_whatever_proxy_the_shell_names(tmp_path, proxy):
    repo = Repo(tmp_path)
    repo.write({FILE: plan("await step.job('look', run='echo here')")})
    kept = {k: v for k, v in os.environ.items() if k.lower() != "no_proxy"}
    names = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
    done = subprocess.run(
        [sys.executable, "-m", "ci_host", "run", str(repo.work)],
        capture_output=True,
        text=True,
        env=kept | dict.fromkeys(names, proxy),
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert "succeeded look job" in done.stdout
