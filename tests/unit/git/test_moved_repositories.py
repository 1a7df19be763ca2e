"""An address that leads on to another is not followed; where it leads is said."""

import http.server
import threading
from contextlib import contextmanager

import pytest

from ci_host.adapters.git import mirror
from ci_host.adapters.git.command import run_git
from ci_host.adapters.git.errors import FetchFailed, RepoGone, RepoMoved
from ci_host.adapters.git.origin import Origin
from ci_host.adapters.git.source import GitSource
from ci_host.ports import SourceElsewhere

REFS = "/info/refs?service=git-upload-pack"


@contextmanager
def leading_on(code, location, paths):
    class Leading(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_response(code)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Leading) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/acme/shop.git"
        finally:
            server.shutdown()
            thread.join()


def refused(world, code, location):
    """What is made of git's failure there."""
    paths = []
    with leading_on(code, location, paths) as url:
        headers = {f"http.{url}.extraHeader": "Authorization: Basic c2VjcmV0"}
        origin = Origin(url, "http", headers)
        asked = run_git(world.folder, "ls-remote", url, protocol="http", config=headers)
        error = mirror.unreadable(world.repo, origin, asked, world.folder, 10.0)
    assert all(path.startswith("/acme/shop.git/") for path in paths), "none is followed"
    assert "c2VjcmV0" not in str(error)
    return error


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_repository_that_leads_on_to_another_has_moved_there(world, code):
    error = refused(world, code, "/acme/store.git" + REFS)
    assert isinstance(error, RepoMoved), error
    assert "/acme/store.git, and redirects are not followed" in str(error)
    assert "`staunch repo add`" in str(error)


def test_where_it_leads_is_shown_without_what_was_put_before_the_host(world):
    error = refused(world, 301, "https://user:pass@other.example/x.git" + REFS)
    assert "it has moved to https://other.example/x.git, and" in str(error)


@pytest.mark.parametrize("location", ["/users/sign_in", "", "https://[/" + REFS, "x" * 5_000])
def test_for_a_while_another_page_is_no_move_and_is_tried_again(world, location):
    assert isinstance(refused(world, 302, location), FetchFailed)
    error = refused(world, 301, location)
    assert isinstance(error, RepoMoved)
    assert "it has moved to another place" in str(error)


def test_what_is_not_found_is_gone_as_ever(world):
    assert isinstance(refused(world, 404, ""), RepoGone)
    assert isinstance(refused(world, 502, ""), FetchFailed)


def test_a_source_says_that_a_repository_or_a_commit_is_elsewhere(world):
    world.commit({"a": "1"})
    source = GitSource(world.mirrors)
    with pytest.raises(SourceElsewhere, match="no longer exists"):
        source.fetch(world.repo, "0" * 39 + "1", "refs/heads/main")
    commit = world.commit({"a": "2"})
    world.upstream.rename(world.folder / "gone")
    with pytest.raises(SourceElsewhere, match="there is no repository"):
        source.fetch(world.repo, commit, "refs/heads/main")
