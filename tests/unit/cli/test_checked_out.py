"""Which runs are meant where none is named."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ci_host.cli.checked_out import Checkout, chosen, path_of, runs_of
from ci_host.cli.client import Client, ClientError
from tests.repos import Repo

COMMIT = "a" * 40
HERE = Checkout(COMMIT, ["refs/heads/feature"])
ANYWHERE = Checkout(COMMIT)


def run(id_: str, ref: str = "refs/heads/feature", at: float = 1.0, **other: Any) -> dict[str, Any]:
    """One that is over."""
    made = {"id": id_, "ref": ref, "repo": "r", "pipeline": "pipeline", "state": "succeeded"}
    made |= {"parent": "", "fork_of": "", "is_imported": False, "created_at": at}
    return {**made, "finished_at": at + 1, **other}


def going(id_: str, ref: str = "refs/heads/feature", at: float = 1.0) -> dict[str, Any]:
    return run(id_, ref, at, state="running", finished_at=None)


class Host:
    """Answers the list of runs: first the first of its pages of history, then the next, and so on;
    the last for ever. `asked` is how often."""

    def __init__(self, *moments: list[dict[str, Any]]) -> None:
        host, self.asked = self, 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
                there = moments[min(host.asked, len(moments) - 1)]
                host.asked += "before" not in query
                before = float(query.get("before", "inf"))
                limit = min(int(query["limit"]), 200)
                found = [one for one in there if one["created_at"] < before][:limit]
                following = found[-1]["created_at"] if len(found) == limit else None
                body = json.dumps({"runs": found, "next": following}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.client = Client(f"http://127.0.0.1:{self.server.server_port}", "")


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    made: list[Host] = []
    yield made
    for one in made:
        one.server.shutdown()
        one.server.server_close()


def ids(runs: list[dict[str, Any]]) -> list[str]:
    return [one["id"] for one in runs]


def test_runs_that_runs_called_forks_and_records_from_elsewhere_are_not_meant() -> None:
    runs = [
        run("child", at=5, parent="root"),
        run("fork", at=4, fork_of="root"),
        run("record", at=3, is_imported=True),
        run("root", at=2),
    ]
    assert ids(chosen(runs, HERE).meant()) == ["root"]


def test_of_each_pipeline_the_newest_attempt_is_meant_and_of_several_pipelines_each() -> None:
    runs = [
        run("lint", at=4, pipeline="lint"),
        run("again", at=3),
        run("first", at=2, state="failed"),
        run("elsewhere", at=1, repo="fork"),
    ]
    assert ids(chosen(runs, HERE).meant()) == ["lint", "again", "elsewhere"]


def test_a_pull_request_counts_beside_the_branch_and_another_branch_does_not() -> None:
    runs = [
        run("main", "refs/heads/main", at=4),
        run("request", "refs/pull/7/head", at=3),
        run("own", at=2),
        run("tag", "refs/tags/v1", at=1),
    ]
    found = chosen(runs, HERE)
    assert (ids(found.meant()), ids(found.others)) == (["request", "own", "tag"], ["main"])
    assert ids(chosen(runs, ANYWHERE).meant()) == ["main", "request", "own", "tag"]


def asked(
    hosts: list[Host], *moments: list[dict[str, Any]], here: Checkout = HERE, **how: Any
) -> tuple[list[str], list[str]]:
    """The ids of the runs that are meant, and what is told meanwhile."""
    told: list[str] = []
    hosts.append(Host(*moments))
    found = runs_of(hosts[-1].client, here, tell=told.append, **how)
    return ids(found), told


def test_while_only_other_branches_had_the_commit_the_push_is_waited_for(hosts) -> None:
    old = run("old", "refs/heads/main")
    assert asked(hosts, [old], [going("new", at=9), old]) == (
        ["new"],
        ["no run of commit aaaaaaaaaa of feature yet; waiting up to 30 s"],
    )
    assert asked(hosts, [old], here=ANYWHERE) == (["old"], [])


def test_a_tag_or_pull_request_of_before_is_enough_if_nothing_else_comes(hosts) -> None:
    old = run("old", "refs/tags/v1")
    found, told = asked(hosts, [old], [going("new", at=9), old])
    assert (found, len(told)) == (["new", "old"], 1)
    assert asked(hosts, [old], patience_s=0.0) == (["old"], [])
    assert asked(hosts, [going("now", "refs/pull/7/head")]) == (["now"], [])
    # Whoever has watched it asks again when it is over.
    assert asked(hosts, [old], known={"old"}) == (["old"], [])


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([], r"commit aaaaaaaaaa, which is checked out here, has no run: was it pushed"),
        (
            [run("one", "refs/heads/main", at=2), run("two", "refs/heads/next", at=1)],
            r"no run of commit aaaaaaaaaa of feature began; it has runs of main, next:"
            r" `staunch watch one` watches the newest\. `staunch deliveries` says",
        ),
    ],
    ids=["none", "others"],
)
def test_who_waits_in_vain_is_told_what_there_is_and_what_to_do(hosts, runs, said) -> None:
    with pytest.raises(ClientError, match=said) as error:
        asked(hosts, runs, patience_s=0.0)
    assert error.value.exit_code == 4


def test_a_run_is_found_behind_hundreds_that_it_called(hosts, tmp_path, monkeypatch) -> None:
    repo = Repo(tmp_path)
    repo.commit({"a.txt": "1"})
    monkeypatch.chdir(repo.work)
    children = [run(f"child-{n}", at=1_000.0 - n, parent="root") for n in range(450)]
    hosts.append(Host([*children, run("root", "refs/heads/main", at=1.0)]))
    assert path_of(hosts[-1].client, "") == "/runs/root"
    assert path_of(hosts[-1].client, "other") == "/runs/other"


def test_the_newest_that_failed_goes_before_a_newer_that_did_not(
    hosts, tmp_path, monkeypatch
) -> None:
    repo = Repo(tmp_path)
    repo.commit({"a.txt": "1"})
    monkeypatch.chdir(repo.work)
    runs = [
        run("lint", "refs/heads/main", at=3, pipeline="lint"),
        run("unit", "refs/heads/main", at=2, pipeline="unit", state="failed"),
        run("old", "refs/heads/main", at=1, pipeline="old", state="failed"),
    ]
    hosts.append(Host(runs))
    assert path_of(hosts[-1].client, "", prefer="failed") == "/runs/unit"
    assert path_of(hosts[-1].client, "") == "/runs/lint"
    assert path_of(hosts[-1].client, "", prefer="cancelled") == "/runs/lint"
