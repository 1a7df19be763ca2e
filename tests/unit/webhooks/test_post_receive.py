import http.server
import os
import queue
import socket
import subprocess
import threading
import time

import pytest

from pipelines.event import EventKind
from tests.demo.installation import free_port
from tests.patience import PATIENCE_S
from webhooks.errors import HookRefused
from webhooks.git.hook import EARLIER_HOOK, MARK, install
from webhooks.git.parse import PlainGit

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Host:
    """A real HTTP server on loopback that keeps what it was sent, and answers what it is told."""

    def __init__(self, port: int = 0, *answers: int) -> None:
        self.calls: queue.Queue = queue.Queue()
        self.answers = list(answers)
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {key.lower(): value for key, value in self.headers.items()}
                host.calls.put((self.path, headers, body))
                self.send_response(host.answers.pop(0) if host.answers else 202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/bare"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def verified(self):
        """The next call: its events, after the signature was checked as the host checks it."""
        path, headers, body = self.calls.get(timeout=PATIENCE_S)
        assert path == "/hooks/bare"
        forge = PlainGit()
        forge.verify(headers, body, [SECRET], time.time())
        return forge.delivery_id(headers), [one.event for one in forge.parse("push", body)]


def git(folder, *arguments, **env):
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in
                ("NAME", "EMAIL")}  # fmt: skip
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**clean, **identity, "GIT_CONFIG_GLOBAL": "/dev/null", **env},
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    return done.stdout.strip() + done.stderr


@pytest.fixture
def bare(tmp_path):
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "lock.git")
    git(tmp_path, "clone", "-q", "lock.git", "work")
    return tmp_path / "lock.git"


def commit(bare, message="Open the gate") -> str:
    work = bare.parent / "work"
    git(work, "commit", "-q", "--allow-empty", "-m", message)
    return git(work, "rev-parse", "HEAD").strip()


def push(bare, *refs) -> str:
    return git(bare.parent / "work", "push", "origin", *refs)


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    ready = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        ready.wait(0.01)


def spooled(bare) -> list[str]:
    spool = bare / "hooks" / "staunch-spool"
    return [name for name in os.listdir(spool) if name.startswith("push_")]


def test_a_push_is_announced_signed_and_with_all_its_refs(bare):
    with Host() as host:
        install(bare, host.url, SECRET)
        tip = commit(bare, "Open the gate\n\nSlowly.")
        git(bare.parent / "work", "tag", "-a", "v1", "-m", "first")
        push(bare, "HEAD:main", "HEAD:a\";id;$(id)'", "v1")
        _, events = host.verified()
        assert {(event.kind, event.ref, event.commit) for event in events} == {
            (EventKind.PUSH, "refs/heads/main", tip),
            (EventKind.PUSH, "refs/heads/a\";id;$(id)'", tip),
            # An annotated tag: the commit, which is not what was pushed.
            (EventKind.TAG, "refs/tags/v1", tip),
        }
        assert {event.message for event in events} == {"Open the gate\n\nSlowly."}
        assert events[0].sender
        wait_until(lambda: spooled(bare) == [])


def test_deletions_and_rewritten_history_are_told_apart(bare):
    with Host() as host:
        install(bare, host.url, SECRET)
        old = commit(bare)
        push(bare, "HEAD:main", "HEAD:old")
        host.verified()
        git(bare.parent / "work", "commit", "-q", "--amend", "--allow-empty", "-m", "Rewritten")
        push(bare, "+HEAD:main", ":old")
        _, events = host.verified()
        by_ref = {event.ref: event for event in events}
        assert by_ref["refs/heads/main"].forced
        assert by_ref["refs/heads/main"].before == old
        assert by_ref["refs/heads/old"].kind is EventKind.BRANCH_DELETE


def test_pushes_made_while_the_host_is_down_arrive_in_order_when_it_is_up(bare):
    port = free_port()
    install(bare, f"http://127.0.0.1:{port}/hooks/bare", SECRET)
    first = commit(bare, "first")
    push(bare, "HEAD:main")
    wait_until(lambda: (bare / "hooks" / "staunch-spool" / "last-error").exists())
    second = commit(bare, "second")
    push(bare, "HEAD:main")
    assert len(spooled(bare)) == 2
    # Nobody pushes again: what waits in the background finds the host by itself.
    with Host(port) as host:
        arrived = [host.verified()[1][0].commit for _ in range(2)]
        assert arrived == [first, second]
        wait_until(lambda: spooled(bare) == [])


def test_an_unavailable_host_gets_the_same_delivery_id_again(bare):
    with Host(0, 503, 503) as host:
        install(bare, host.url, SECRET)
        commit(bare)
        push(bare, "HEAD:main")
        deliveries = {host.verified()[0] for _ in range(3)}
        assert len(deliveries) == 1
        wait_until(lambda: spooled(bare) == [])


def test_what_was_left_in_the_spool_is_delivered_by_the_next_push(bare):
    with Host() as host:
        install(bare, host.url, SECRET)
        left = commit(bare)
        # As after a crash of the machine: spooled, and nobody at it.
        spool = bare / "hooks" / "staunch-spool"
        spool.mkdir()
        lines = f"{'0' * 40} {left} refs/heads/main\n"
        name = f"push_{1:020d}_left"
        (spool / name).write_text(f"ada\n{lines}")
        push(bare, "HEAD:main")
        assert host.verified()[0] == name
        assert host.verified()[0] != name


def test_a_push_that_is_refused_for_good_does_not_block_the_next(bare):
    with Host(0, 400) as host:
        install(bare, host.url, SECRET)
        commit(bare)
        push(bare, "HEAD:main")
        refused, _ = host.verified()
        commit(bare)
        push(bare, "HEAD:main")
        assert host.verified()[0] != refused
        assert (bare / "hooks" / "staunch-spool" / f"refused_{refused}").exists()


def test_a_host_that_accepts_and_never_answers_does_not_hold_the_push(bare):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        install(bare, f"http://127.0.0.1:{silent.getsockname()[1]}/hooks/bare", SECRET)
        commit(bare)
        start = time.monotonic()
        push(bare, "HEAD:main")
        # The hook's own socket time-out is ten seconds.
        assert time.monotonic() - start < 10
        # Let its background process end with the spool that it serves.
        for name in spooled(bare):
            (bare / "hooks" / "staunch-spool" / name).unlink()


def test_installing_again_changes_url_and_secret_and_keeps_one_hook(bare):
    with Host() as host:
        install(bare, "http://127.0.0.1:9/hooks/old", "other")
        hook = install(bare, host.url, SECRET)
        assert MARK in hook.read_text()
        assert not (bare / "hooks" / "post-receive.d").exists()
        commit(bare)
        push(bare, "HEAD:main")
        host.verified()


def test_an_earlier_hook_is_kept_and_still_gets_the_same_input(bare):
    earlier = bare / "hooks" / "post-receive"
    earlier.write_text("#!/bin/sh\ncat > earlier-input\necho from-the-earlier-hook\n")
    earlier.chmod(0o755)
    with Host() as host:
        install(bare, host.url, SECRET)
        install(bare, host.url, SECRET)
        kept = bare / "hooks" / "post-receive.d" / EARLIER_HOOK
        assert "earlier-input" in kept.read_text()
        tip = commit(bare)
        assert "from-the-earlier-hook" in push(bare, "HEAD:main")
        assert (bare / "earlier-input").read_text() == f"{'0' * 40} {tip} refs/heads/main\n"
        host.verified()


def test_the_secret_is_for_the_owner_alone(bare):
    install(bare, "http://127.0.0.1:9/hooks/bare", SECRET)
    settings = bare / "hooks" / "staunch.json"
    assert settings.stat().st_mode & 0o777 == 0o600
    assert SECRET not in (bare / "hooks" / "post-receive").read_text()


def refuse(bare, match, url="http://127.0.0.1:9/hooks/bare", secret=SECRET):
    before = sorted(bare.rglob("*"))
    with pytest.raises(HookRefused, match=match):
        install(bare, url, secret)
    assert sorted(bare.rglob("*")) == before


def test_hooks_that_something_else_manages_are_not_touched(bare):
    (bare / "hooks" / "post-receive").symlink_to("/bin/true")
    refuse(bare, "symbolic link")


def test_a_repository_whose_hooks_never_run_is_refused(bare):
    git(bare, "config", "core.hooksPath", "/dev/null")
    refuse(bare, "core.hooksPath")


def test_a_second_foreign_hook_is_refused_and_not_overwritten(bare):
    for place in ("post-receive", f"post-receive.d/{EARLIER_HOOK}"):
        path = bare / "hooks" / place
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n")
    refuse(bare, "taken already")


def test_what_is_no_repository_url_or_secret_is_refused(bare, tmp_path):
    refuse(tmp_path / "work", "no bare repository")
    with pytest.raises(HookRefused, match="no repository"):
        install(tmp_path / "nothing", "http://h/", SECRET)
    for url in ("ftp://h/", "http://", "h/hooks", "http://h/a b", "http://h/\r\nX: y"):
        refuse(bare, "cannot be called", url=url)
    refuse(bare, "without a secret", secret="")
