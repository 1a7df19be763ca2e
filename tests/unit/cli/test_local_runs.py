"""What `staunch run` asks of the installation that it has started, and of whoever sits there."""

import os
import pty
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from ci_host.cli.local_gates import LocalGates
from ci_host.cli.local_runs import Asked, LocalRuns, Superseded
from tests.repos import Repo

GATE = {
    "key": "go", "message": "", "approvers": [], "barred": [], "approved_by": [], "needed": 1,
    "inputs": {"percent": "int"}, "rules": {},
}  # fmt: skip


class FakeClient:
    """Takes everything; `posted` is what was asked for."""

    url = "http://test"

    def __init__(self) -> None:
        self.posted: list[tuple[str, dict[str, Any]]] = []

    def put(self, _path: str, _body: dict[str, Any]) -> dict[str, Any]:
        return {"id": "local/1"}

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.posted.append((path, body))
        return {"runs": ["1-0"], "told": "", "secret": "s", "by": "local-1"}


class Gates(LocalGates):
    """Whoever answers is the same client, whatever key was made for them."""

    def _people(self, _gate: dict[str, Any], count: int) -> Iterator[Any]:
        yield from [self.client] * count


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal: what is written here is typed there."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield ours
    os.close(ours)


def test_a_question_at_a_gate_ends_when_the_files_are_others(typing: int) -> None:
    client, looks = FakeClient(), []

    def look() -> None:
        looks.append(1)
        raise Superseded

    with pytest.raises(Superseded):
        Gates(cast(Any, client), Console(), False, look).meet("1-0", GATE)
    assert looks == [1] and client.posted == []


def test_it_ends_too_while_a_value_is_asked_for(typing: int) -> None:
    client, looks = FakeClient(), []

    def look() -> None:
        looks.append(1)
        if len(looks) == 1:
            os.write(typing, b"y\n")
        elif len(looks) == 2:
            raise Superseded

    with pytest.raises(Superseded):
        Gates(cast(Any, client), Console(), False, look).meet("1-0", GATE)
    assert client.posted == []


def test_what_is_typed_meanwhile_answers_it(typing: int) -> None:
    client, lines = FakeClient(), [b"25\n", b"y\n"]
    look = lambda: os.write(typing, lines.pop())  # noqa: E731
    Gates(cast(Any, client), Console(), False, cast(Any, look)).meet("1-0", GATE)
    assert client.posted == [("/runs/1-0/gates/go", {"approved": True, "inputs": {"percent": 25}})]


def begun(repo: Repo, event: str) -> str:
    """The commit of a run that is begun with a data directory that is kept."""
    client = FakeClient()
    opening = repo.bare.parent / "opening"
    host = SimpleNamespace(
        client=client, opening=opening, ready=lambda: None, check_alive=lambda: None
    )
    asked = Asked(event, "", {}, 0.0, {}, is_yes=False)
    bare = repo.bare.parent / "kept.git"
    LocalRuns(cast(Any, host), Console(), asked, Path(repo.work), bare).start()
    ((_, body),) = client.posted
    return str(body["commit"])


def test_an_event_of_a_commit_that_was_there_before_is_of_a_commit_of_its_own(
    tmp_path: Path,
) -> None:
    repo = Repo(tmp_path)
    head = repo.commit({".staunch/pipeline.py": "async def run(event, step): ...\n"})
    assert begun(repo, "push") == head
    again = begun(repo, "push")
    assert again not in (head, begun(repo, "push"))
    # A start by hand is a run of its own anyway.
    assert begun(repo, "") == head
