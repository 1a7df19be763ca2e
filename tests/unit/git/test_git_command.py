import re
import time
from pathlib import Path

import pytest

from ci_host.adapters.git.command import converse, run_git
from ci_host.adapters.git.errors import FetchFailed

ROOT = Path(__file__).resolve().parents[3]
CODE = [
    path
    for folder in ("pipelines", "webhooks", "ci_host", "runners")
    for path in (ROOT / folder).rglob("*.py")
]
# The host's git, which hears nothing of its surroundings, and that of who types `staunch run`.
WRAPPERS = {
    ROOT / "ci_host" / "adapters" / "git" / "command.py",
    ROOT / "ci_host" / "cli" / "working_tree.py",
}


def check(world, *arguments, **options):
    world.mirrors.fetch(world.repo, world.commit({"a": "1"}), "refs/heads/main")
    return run_git(world.mirror, *arguments, **options)


def test_gitpython_is_imported_by_the_two_wrappers_alone_and_its_dynamic_calls_by_nobody():
    assert len(CODE) > 20
    for path in CODE:
        text = path.read_text()
        assert not re.search(r"\.git\.\w+\(", text), f"{path}: go through run_git"
        if path not in WRAPPERS:
            assert not re.search(r"^\s*(from|import) git\b", text, re.MULTILINE), path


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GIT_DIR", "/nonexistent"),
        ("GIT_OBJECT_DIRECTORY", "/nonexistent"),
        ("GIT_NAMESPACE", "x"),
        ("GIT_CONFIG_PARAMETERS", "'core.bare'='nonsense'"),
        ("GIT_TRACE", "1"),
        ("GIT_EXEC_PATH", "/nonexistent"),
    ],
)
def test_a_variable_of_whoever_started_us_does_not_reach_git(world, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    answer = check(world, "for-each-ref", "--format=%(objecttype)")
    assert (answer.status, answer.out, answer.said) == (0, b"commit\n", "")


def test_configuration_of_the_user_and_the_system_is_not_read(world, monkeypatch, tmp_path):
    config = tmp_path / "gitconfig"
    config.write_text("[core]\n\thooksPath = /tmp\n[user]\n\tname = evil\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert check(world, "config", "user.name").status == 1
    assert check(world, "config", "core.hooksPath").out == b"/dev/null\n"
    assert check(world, "config", "core.fsmonitor").out == b"false\n"
    assert check(world, "config", "transfer.fsckObjects").out == b"true\n"


def test_what_is_configured_for_a_call_is_not_in_its_arguments(world):
    answer = check(world, "config", "http.extraHeader", config={"http.extraHeader": "token x"})
    assert answer.out == b"token x\n"


def test_a_command_and_its_children_end_with_their_time(world):
    pid_file = world.folder / "pid"
    start = time.monotonic()
    with pytest.raises(FetchFailed, match="took longer"):
        # An alias is the shortest way to a git that has a child and says nothing.
        hang = {"alias.hang": f"!echo $$ > {pid_file}; sleep 60; true"}
        check(world, "hang", config=hang, timeout_s=0.5)
    assert time.monotonic() - start < 20
    stat = Path(f"/proc/{pid_file.read_text().strip()}/stat")
    # Killed is not yet gone: the kernel and init take their moment.
    while stat.exists() and stat.read_text().split()[2] not in "ZX":
        assert time.monotonic() - start < 20


def test_a_conversation_ends_with_its_time(world):
    world.mirrors.fetch(world.repo, world.commit({"a": "1"}), "refs/heads/main")
    with converse(world.mirror, "cat-file", "--batch-command", timeout_s=0.2) as (_, answers):
        assert answers.read() == b""


def test_a_hostile_object_is_refused_when_it_is_fetched(world):
    blob = world.git("rev-parse", world.commit({"a": "1"}) + ":a")
    listing = world.folder / "listing"
    listing.write_bytes(b"100644 .git\0" + bytes.fromhex(blob))
    tree = world.git("hash-object", "-w", "--literally", "-t", "tree", str(listing))
    commit = world.git("commit-tree", "-m", "hostile", tree)
    world.git("push", "-q", "origin", f"{commit}:refs/heads/hostile")
    with pytest.raises(FetchFailed, match="could not be fetched"):
        world.mirrors.fetch(world.repo, commit, "refs/heads/hostile")
