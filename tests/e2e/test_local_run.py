"""`staunch run`: a checkout's pipeline, run here and now, which leaves nothing behind."""

import hashlib
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from ci_host.sealed_file import new_identity, recipient_of, sealed_value, written
from tests.demo.installation import until
from tests.e2e.installed import FILE, parsed, plan
from tests.repos import Repo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

# Whether the list is empty depends on whether the function ran in this life of the Tenant.
FORGETFUL = """
await step.do("note", lambda: seen.append(1))
await step.job("go", run="true")
if seen:
    return await step.do("remembered", lambda: "remembered")
return await step.do("forgotten", lambda: "forgotten")
"""
AS_CHANGED = 'test "$(cat word)" = changed && test ! -e gone && test ! -e ignored && test -e new'
GATE = """
answer = await step.gate("go", approvers=["@ops"], needed=2, not_author=True)
return answer.by
"""
ASKING = """
answer = await step.gate("go", approvers=["grace"], inputs={"percent": int})
return answer.inputs["percent"]
"""


class Local:
    """A checkout, and the command in it; all that the command makes goes below `temporary`."""

    def __init__(self, folder: Path) -> None:
        self.repo = Repo(folder)
        self.temporary = folder / "temporary"
        self.temporary.mkdir(mode=0o711)
        self.folder = folder

    def start(self, *options: str, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[str]":
        kept = {k: v for k, v in os.environ.items() if not k.startswith("STAUNCH_")}
        if "STAUNCH_CACHE_DIR" in os.environ:
            kept["STAUNCH_CACHE_DIR"] = os.environ["STAUNCH_CACHE_DIR"]
        return subprocess.Popen(
            [sys.executable, "-m", "ci_host", "run", str(self.repo.work), *options],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**kept, "TMPDIR": str(self.temporary), "COLUMNS": "160"},
            # Whoever runs the tests in the background has it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *options: str, code: int = 0) -> str:
        """What the command prints; its exit code must be this one."""
        process = self.start(*options)
        out, errors = process.communicate(timeout=240)
        assert process.returncode == code, out + errors
        return out + errors if code else out

    def left(self) -> list[str]:
        """Processes and files that it has left: those that name the temporary directory."""
        mark = str(self.temporary).encode()
        found = [path.name for path in self.temporary.iterdir()]
        for process in Path("/proc").glob("[0-9]*"):
            try:
                said = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            except OSError:
                continue
            if mark in said:
                found.append((process / "cmdline").read_text().replace("\0", " "))
        return found


def has_process(words: list[str]) -> bool:
    """Whether a process of this command line is there, in whatever sandbox."""
    wanted = "".join(f"{word}\0" for word in words).encode()
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if process.read_bytes() == wanted:
                return True
    return False


@pytest.fixture
def local():
    folder = Path(tempfile.mkdtemp(prefix="staunch-local-"))
    # Jobs run as users of their own, who must be able to reach what is theirs.
    folder.chmod(0o711)
    try:
        yield Local(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def everything(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Every file below, git's own included: mode, time, content.

    The time aside of a stored object: git freshens it where it would have stored the same.
    """
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            0 if path.is_relative_to(folder / ".git/objects") else path.lstat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in sorted(folder.rglob("*"))
    }


def test_what_is_not_committed_is_what_runs_and_the_checkout_stays_as_it_was(local):
    before = {FILE: plan("return 'committed'"), "word": "committed", "gone": "", ".gitignore": ""}
    local.repo.commit(before)
    body = f"print('so it says')\nawait step.job('look', run='''{AS_CHANGED}''')\nreturn event.ref"
    after = {FILE: plan(body), "word": "changed", "new": "", ".gitignore": "ignored\n"}
    local.repo.write({**after, "ignored": ""})
    (local.repo.work / "gone").unlink()
    local.repo.git("add", "new")
    found = everything(local.repo.work)
    ended = parsed(local.run("--json"))
    assert (ended["state"], ended["output"]) == ("succeeded", "refs/heads/main")
    assert everything(local.repo.work) == found
    assert local.left() == []
    said = local.run()
    assert "5 changed files not committed" in said
    assert "so it says" in said
    assert "succeeded look job" in said


def test_a_step_that_fails_shows_its_log_and_is_the_command_s_failure(local):
    noise = "for i in $(seq 50); do echo line $i; done; echo the reason; exit 7"
    local.repo.write({FILE: plan(f"await step.job('unit', run={noise!r})")})
    said = local.run(code=1)
    assert "nothing committed yet" in said
    assert "failed unit #1" in said
    assert "│ the reason" in said
    assert "│ line 50" in said
    assert "│ line 9\n" not in said
    assert "failed unit job" in said
    assert f"{FILE}:6: job 'unit' failed with exit code 7" in said
    assert local.left() == []


def test_verify_names_a_plan_that_would_decide_otherwise_after_a_replay(local):
    local.repo.write({FILE: plan(FORGETFUL, "seen = []")})
    told = " ".join(local.run("--hibernate", "verify", code=1).split())
    assert "turn 2 decides do 'remembered'" in told
    assert "after a replay it would decide do 'forgotten'" in told
    kept, replayed = local.run("--json"), local.run("--json", "--hibernate", "always")
    assert parsed(kept)["output"] == "remembered"
    assert parsed(replayed)["output"] == "forgotten"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
    ids=["ctrl-c", "term", "kill"],
)
def test_however_it_is_ended_nothing_runs_on_and_nothing_is_left_on_the_disk(local, number, code):
    # A number that no other process has.
    nap = ["sleep", f"{os.getpid()}.{code % 1000}"]
    local.repo.write({FILE: plan(f"await step.job('long', run='{' '.join(nap)}')")})
    process = local.start()
    until("the job to run", lambda: has_process(nap))
    process.send_signal(number)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == code, out + errors
    if number == signal.SIGKILL:
        until("everything to end", lambda: not local.left())
    assert local.left() == []
    assert not has_process(nap)


def test_yes_opens_a_gate_as_often_as_it_must_be(local):
    local.repo.write({FILE: plan(GATE)})
    assert parsed(local.run("--yes", "--json"))["output"] == ["local-1", "local-2"]


def test_what_it_calls_and_continues_as_is_told_and_waited_for(local):
    files = {
        FILE: plan(
            "if not event.inputs:\n    step.continue_as_new({'second': True})\n"
            "await step.start('later', 'side')\nreturn await step.call('now', 'side')"
        ),
        ".staunch/side.py": plan(
            "print('from aside')\nawait step.gate('go')\n"
            "await step.sleep('nap', '2s')\nreturn 'done'",
            "on.manual()",
        ),
    }
    local.repo.write(files)
    said = local.run("--yes")
    assert said.count("side: from aside") == 2
    assert said.count("gate go opened as local-1") == 2
    assert said.count("side: succeeded nap sleep") == 2
    assert "succeeded now call" in said
    assert "continues " in said


@pytest.mark.parametrize("role", ["host", "engine"])
def test_a_process_of_it_that_dies_is_started_again_and_the_run_goes_on(local, role):
    local.repo.write({FILE: plan("await step.wait_for_event('go')\nreturn 'on'")})
    process = local.start("--json")
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    words = next(line for line in lines if line.startswith("  staunch signal")).split()
    state = json.loads((Path(words[-1]) / "running.json").read_text())
    name = next(name for name in state["processes"] if name.startswith(role))
    os.kill(state["processes"][name], signal.SIGKILL)
    command = [sys.executable, "-m", "ci_host", *words[1:]]
    until("the signal to be taken", lambda: subprocess.run(command).returncode == 0)
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 0, out + errors
    assert parsed(out)["output"] == "on"


def test_without_a_terminal_it_says_which_command_opens_a_gate(local):
    local.repo.write({FILE: plan(ASKING)})
    process = local.start()
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    command = next(line for line in lines if line.startswith("  staunch approve"))
    words = shlex.split(command.replace("percent=…", "percent=25"))[1:]
    subprocess.run([sys.executable, "-m", "ci_host", *words], check=True, capture_output=True)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, out + errors
    assert "succeeded go gate" in out
    assert "go approved by grace" in out


@pytest.mark.parametrize(
    ("typed", "state", "told"),
    [
        ("y\nmany\n25\n", "succeeded", "must be of type int, not 'many'"),
        ("n\n", "failed", "rejected as grace"),
    ],
    ids=["yes", "no"],
)
def test_on_a_terminal_it_asks_and_takes_the_answer(local, typed, state, told):
    local.repo.write({FILE: plan(ASKING)})
    ours, theirs = pty.openpty()
    try:
        os.write(ours, typed.encode())
        process = local.start("--json", stdin=theirs)
        out, errors = process.communicate(timeout=240)
    finally:
        os.close(theirs)
        os.close(ours)
    assert parsed(out)["state"] == state, errors
    assert parsed(out)["output"] == (25 if state == "succeeded" else None)
    assert told in errors


def test_what_is_kept_can_be_used_again(local):
    local.repo.write({FILE: plan("return event.inputs['n']", "on.manual(inputs={'n': int})")})
    data = local.folder / "data"
    local.run("--data", str(data), "--input", "n=1")
    ended = parsed(local.run("--data", str(data), "--input", "n=2", "--json"))
    assert ended["output"] == 2
    said = local.run("--keep", "--input", "n=3")
    (kept,) = local.temporary.iterdir()
    assert re.search(rf"kept: `staunch up --data {kept}`", said)
    assert (kept / "token").exists()


def test_what_cannot_begin_says_why_before_anything_is_started(local):
    assert "has no pipeline: add .staunch/pipeline.py" in local.run(code=4)
    local.repo.write({FILE: plan("return 1")})
    told = local.run("--pipeline", "other", code=1)
    assert "other" in told
    told = local.run("--input", "n", code=2)
    assert "write NAME=VALUE" in told
    assert local.left() == []


USES_SECRET = """
await step.job("use", secrets=["LOCAL_KEY"], run=[
    'test "$LOCAL_KEY" = "of-my-own"-shell', 'echo "it is $LOCAL_KEY."; false',
])
"""


def test_a_secret_is_the_value_of_a_variable_here(local, monkeypatch):
    local.repo.write({FILE: plan(USES_SECRET)})
    assert "LOCAL_KEY, which is not set" in local.run("--secret", "LOCAL_KEY", code=2)
    assert "secret LOCAL_KEY is not set for this job" in local.run(code=1)
    sealed = sealed_value("LOCAL_KEY", "of-the-installation", [recipient_of(new_identity())])
    local.repo.write({".staunch/secrets.age": written(b"", "LOCAL_KEY", sealed).decode()})
    assert "staunch run --secret LOCAL_KEY" in local.run(code=1).replace("\n", " ")
    monkeypatch.setenv("LOCAL_KEY", "of-my-own-shell")
    said = local.run("--secret", "LOCAL_KEY", code=1)
    assert "it is ***." in said
    assert "of-my-own-shell" not in said
    assert local.left() == []


def test_an_event_runs_what_wants_it_and_says_why_the_rest_does_not(local):
    ours = "return [event.kind, event.ref, event.branch, event.pull_request is not None]"
    files = {
        FILE: plan(ours, "on.push(branches=['side'])\non.pull_request(branches=['main'])"),
        ".staunch/docs.py": plan("return 'docs'", "on.push(paths=['docs/**'])"),
        ".staunch/deploy.py": plan("return event.tag", "on.tag('v*')"),
        "docs/a": "1",
        "code": "1",
    }
    local.repo.commit(files)
    local.repo.push()
    local.repo.git("checkout", "-q", "-b", "side")
    local.repo.write({"code": "2"})
    said = local.run("--event", "push")
    assert "docs is skipped: no changed path matches" in said
    assert "deploy does not run on push of refs/heads/side: it runs on tag" in " ".join(
        said.split()
    )
    assert "succeeded · app · pipeline" in said
    assert said.count("run ended") == 1
    (ended,) = parsed(local.run("--event", "pr", "--json"))["runs"]
    assert (ended["pipeline"], ended["trust"]["tier"]) == ("pipeline", "trusted")
    assert ended["output"] == ["pull_request", "refs/pull/1/head", "", True]
    local.repo.write({"docs/a": "2"})
    ended = parsed(local.run("--event", "push", "--json"))["runs"]
    assert sorted(one["pipeline"] for one in ended) == ["docs", "pipeline"]
    refused = local.run("--event", "tag:w1", code=1)
    assert "deploy does not run on tag of refs/tags/w1: it is only for tags v*" in refused
    assert local.left() == []


def test_watch_cancels_what_runs_and_runs_again_when_the_files_are_others(local):
    local.repo.commit({FILE: plan("print('first')\nawait step.wait_for_event('never')")})
    process = local.start("--watch", "--event", "push")
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    next(line for line in lines if "waiting for" in line)
    # The same content once more is no change.
    local.repo.write({FILE: (local.repo.work / FILE).read_text()})
    local.repo.write({FILE: plan("print('second')"), ".gitignore": "ignored\n", "ignored": ""})
    next(line for line in lines if "the files have changed" in line)
    next(line for line in lines if "second" in line)
    next(line for line in lines if "waiting for a change" in line)
    local.repo.git("checkout", "-q", ".")
    next(line for line in lines if "the files have changed" in line)
    next(line for line in lines if "first" in line)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 130, out + errors
    assert local.left() == []


ONLY = """
built = await step.job("build", run="exit 1")
await step.gate("go", approvers=["@ops"], inputs={"percent": int})
await step.sleep("soak", "2h")
to = built.outputs["to"]
done = await step.job("deploy", run="echo to=$TO > $STAUNCH_OUTPUT", env={"TO": to})
return done.outputs["to"]
"""


def test_only_the_steps_that_are_named_are_run_and_the_others_are_taken_as_done(local):
    local.repo.write({FILE: plan(ONLY)})
    said = local.run("--only", "depl*", "--suppose", "build.to=eu", "--json")
    ended = parsed(said)
    assert (ended["state"], ended["output"]) == ("succeeded", "eu")
    supposed = {step["key"] for step in ended["steps"] if step["recalled_from"] == "supposed"}
    assert supposed == {"build", "go", "soak"}
    assert [attempt["key"] for attempt in ended["attempts"]] == ["deploy"]
    unknown = local.run("--only", "deplyo", "--suppose", "build.to=eu", code=2)
    assert "there is no step 'deplyo'; there are: build, go, soak, deploy" in unknown
    later = local.run("--only", "deploy", code=2)
    assert "there are: build, go, soak. What comes later is not known: KeyError: 'to'" in later
    assert local.left() == []
