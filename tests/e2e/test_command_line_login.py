"""Logging in from the command line: by the browser, with a token; and where commands go then."""

import json
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import httpx2
import pytest

from tests.e2e.answers import refused
from tests.e2e.installed import TIMEOUT_S, Answer

pytestmark = [
    pytest.mark.xdist_group("e2e"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]


class Shell:
    """Somebody's shell on a machine that has no installation."""

    def __init__(self, home: Path) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("STAUNCH_", "XDG_"))}
        self.env = {**kept, "HOME": str(home), "COLUMNS": "110"}
        self.profiles = home / ".config" / "staunch" / "profiles.json"

    def start(self, *words: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        command = [sys.executable, "-m", "ci_host", *words]
        return subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=self.env
        )

    def run(self, *words: str, typed: str = "", code: int = 0) -> str:
        process = self.start(*words)
        out, errors = process.communicate(typed, timeout=TIMEOUT_S)
        assert process.returncode == code, out + errors
        return out if code == 0 else errors


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def asking(shell: Shell, url: str) -> tuple["subprocess.Popen[str]", str]:
    """The command, and the code that it shows."""
    process = shell.start("login", url, "--no-browser", "--name", "work")
    assert process.stderr is not None
    address, shown = process.stderr.readline(), process.stderr.readline()
    found = re.search(r"[A-Z]{4}-[A-Z]{4}", shown)
    if found is None:
        process.kill()
        raise AssertionError(address + shown + "".join(process.communicate()))
    assert address == f"open {url}/let-in/{found[0]}\n"
    return process, found[0]


def answered(here, code: str, decision: str, who: str, **headers: str) -> httpx2.Response:
    return httpx2.post(
        f"{here.installation.url}/let-in/{code}",
        data={"decision": decision},
        headers={"Cookie": f"staunch_token={here.people[who]}", "sec-fetch-site": "same-origin"}
        | {name.replace("_", "-"): value for name, value in headers.items()},
        timeout=TIMEOUT_S,
    )


def test_a_command_line_is_let_in_as_whoever_compared_its_code(here, shell):
    process, code = asking(shell, here.installation.url)
    page = httpx2.get(
        f"{here.installation.url}/let-in/{code}",
        headers={"Cookie": f"staunch_token={here.people['mallory']}"},
    )
    assert code in page.text and "mallory" in page.text
    # A page of somebody else's cannot say yes in her name.
    assert answered(here, code, "let-in", "mallory", sec_fetch_site="cross-site").status_code == 403
    assert "act as you now" in answered(here, code, "let-in", "mallory").text
    out, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, errors
    assert "as mallory (act); it is profile work" in out
    assert shell.profiles.stat().st_mode & 0o777 == 0o600
    assert here.people["mallory"] not in shell.profiles.read_text()
    # From now on commands go there, as her.
    shell.run("runs")
    told = shell.run("token", "list", code=1)
    assert "mallory may not change settings" in told
    acts = here.get("/audit?limit=20")["acts"]
    assert any(one["act"] == "POST /let-in/{code}" and one["by"] == "mallory" for one in acts)
    assert answered(here, code, "let-in", "mallory").status_code == 404


def test_one_that_is_turned_away_says_so_and_keeps_nothing(here, shell):
    process, code = asking(shell, here.installation.url)
    assert "Nobody may act as you" in answered(here, code, "no", "mallory").text
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1 and "said no" in errors
    assert not shell.profiles.exists()


def test_a_code_is_worth_nothing_without_the_verifier(here, shell):
    process, code = asking(shell, here.installation.url)
    body = {"code": code, "verifier": "x" * 43}
    answer = httpx2.post(f"{here.installation.url}/api/v1/logins/claim", json=body)
    refused(Answer(answer.status_code, answer.json()), 404, "ask again")
    process.kill()
    process.communicate()
    stranger = httpx2.get(f"{here.installation.url}/let-in/{code}")
    assert stranger.status_code == 303 and "/login" in stranger.headers["location"]


def let_in(here, shell: Shell, who: str, said: str = "") -> str:
    """The key that a `staunch login` was given, which told what it says of a profile of before."""
    process, code = asking(shell, here.installation.url)
    answered(here, code, "let-in", who)
    _, told = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, "of before is forgotten" in told) == (0, bool(said)), told
    assert re.search(said, told), told
    return str(json.loads(shell.profiles.read_text())["profiles"]["work"]["token"])


def status_of(here, key: str) -> int:
    bearer = {"Authorization": f"Bearer {key}"}
    return httpx2.get(f"{here.installation.url}/api/v1/whoami", headers=bearer).status_code


def moved(shell: Shell, server: str) -> dict[str, object]:
    """The profile, whose server is there now."""
    kept = json.loads(shell.profiles.read_text())
    kept["profiles"]["work"]["server"] = server
    shell.profiles.write_text(json.dumps(kept))
    return dict(kept["profiles"]["work"])


AWAY = "http://127.0.0.1:9"


def test_a_logout_makes_the_key_of_a_command_line_worthless(here, shell):
    key = let_in(here, shell, "mallory")
    assert status_of(here, key) == 200
    assert shell.run("logout") == "profile work is forgotten; its key is revoked\n"
    assert status_of(here, key) == 401
    assert shell.run("profiles") == ""


def until(profile: dict[str, object]) -> str:
    end = datetime.fromtimestamp(float(str(profile["expires_at"]))).astimezone()
    return f"{end:%Y-%m-%d %H:%M:%S %Z}"


def test_while_its_server_is_away_a_profile_is_kept_and_its_key_is_revoked_later(here, shell):
    key = let_in(here, shell, "mallory")
    profile = moved(shell, AWAY)
    told = shell.run("logout", code=3)
    assert "profile work is kept: its key" in told and "--forget" in told
    assert f"is good until {until(profile)} and could not be revoked" in told
    assert shell.run("profiles") == f"* work\t{AWAY}\n"
    moved(shell, here.installation.url)
    assert shell.run("logout") == "profile work is forgotten; its key is revoked\n"
    assert status_of(here, key) == 401


def test_a_profile_is_forgotten_without_its_server_and_who_can_revoke_is_told(here, shell):
    let_in(here, shell, "mallory")
    profile = moved(shell, AWAY)
    told = shell.run("logout", "--forget")
    assert "profile work is forgotten; its key" in told
    assert f"is good until {until(profile)}" in told
    named = re.search(r"staunch token revoke ([0-9a-f]{12})\n", told)
    assert named is not None, told
    assert shell.run("profiles") == ""
    assert "is revoked" in here.staunch("token", "revoke", named[1])


def test_a_login_ends_the_key_that_the_profile_of_its_name_had(here, shell):
    first = let_in(here, shell, "mallory")
    second = let_in(here, shell, "grace", "its key is revoked\n")
    assert (status_of(here, first), status_of(here, second)) == (401, 200)
    moved(shell, AWAY)
    third = let_in(
        here, shell, "mallory", r"could not be revoked .* staunch token revoke [0-9a-f]{12}\n"
    )
    assert (status_of(here, second), status_of(here, third)) == (200, 200)
    shell.run("logout")


def test_a_login_leaves_a_key_alone_that_others_may_use(here, shell):
    url, given = here.installation.url, here.people["grace"]
    shell.run("login", url, "--with-token", "--name", "work", typed=f"{given}\n")
    let_in(here, shell, "mallory", "is good still: it was given with --with-token\n")
    assert status_of(here, given) == 200
    shell.run("logout")


def test_of_a_key_that_was_worthless_already_a_logout_says_so(here, shell):
    let_in(here, shell, "mallory")
    kept = shell.profiles.read_text()
    shell.run("logout")
    shell.profiles.write_text(kept)
    assert shell.run("logout").endswith("is forgotten; its key was worthless already\n")


def test_a_profile_of_before_with_a_key_that_others_may_use_is_forgotten_alone(here, shell):
    one = {"server": here.installation.url, "token": here.people["grace"]}
    shell.profiles.parent.mkdir(parents=True)
    shell.profiles.write_text(json.dumps({"current": "a", "profiles": {"a": one}}))
    assert "is good still: No `staunch login` was given this token" in shell.run("logout")


def test_with_a_token_and_between_profiles(here, shell):
    url = here.installation.url
    told = shell.run("login", url, "--with-token", "--name", "a", typed=here.people["grace"] + "\n")
    assert told == f"logged in to {url} as grace (act); it is profile a\n"
    shell.run("login", url, "--with-token", "--name", "b", typed=here.people[""] + "\n")
    assert shell.run("profiles") == f"  a\t{url}\n* b\t{url}\n"
    shell.run("token", "list")
    shell.run("profiles", "--use", "a")
    shell.run("token", "list", code=1)
    shell.env["STAUNCH_PROFILE"] = "b"
    shell.run("token", "list")
    shell.env["STAUNCH_PROFILE"] = "nobody"
    assert "names no profile: 'nobody'" in shell.run("runs", code=2)
    del shell.env["STAUNCH_PROFILE"]
    told = shell.run("logout", "a")
    assert re.fullmatch(
        r"profile a is forgotten; its key [0-9a-f]{12} is good still: it was given with"
        r" --with-token\n",
        told,
    )
    assert here.call("GET", "/whoami", who="grace").status == 200
    assert "a\t" not in shell.run("profiles")
    assert "there is no profile 'a'" in shell.run("logout", "a", code=4)
    assert "valid there" in shell.run("login", url, "--with-token", typed="stn_wrong\n", code=1)
    shell.profiles.write_text("{")
    assert "log in again" in shell.run("runs", code=1)
