"""Commands that are printed to be pasted: a shell reads in them the names that are meant."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from ci_host.cli import reading, run
from ci_host.cli.following import Follower
from ci_host.cli.local_gates import LocalGates
from ci_host.cli.local_host import Wish
from ci_host.cli.pasted import pasted, with_inputs
from ci_host.cli.waits import waiting_lines
from ci_host.engine import secrets
from ci_host.settings import Hibernate
from ci_host.web import words
from pipelines.secret import Scope
from tests.hostile_names import BRANCHES, TEXTS
from tests.unit.cli.run_details import detail, step, wait

RUN = "1-00000000000000000000"
# As a stranger may call a step: a shell would do something, and rich would leave something out.
KEY = "it's $(touch pwned); [bold]x[/]"
APPROVE = ["staunch", "approve", RUN, KEY]


def read_by_bash(command: str) -> list[str]:
    """The words that bash hands to a command, which here writes them down."""
    script = 'staunch() { printf "%s\\0" staunch "$@"; }; ' + command
    done = subprocess.run(
        [shutil.which("bash") or "/bin/bash", "-c", script],
        env={"LC_ALL": "C.UTF-8", "PATH": "/nowhere"},
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("name", [*BRANCHES, *TEXTS, "é e", "$'\\'", "\u00a0"], ids=ascii)
def test_any_name_is_one_word_and_shows_nothing_that_a_terminal_obeys(name: str) -> None:
    told = pasted("approve", RUN, name) + with_inputs([name])
    assert told.isprintable()
    assert read_by_bash(told) == ["staunch", "approve", RUN, name, "--input", f"{name}=…"]


def test_a_plain_name_stays_as_it_is() -> None:
    assert pasted("approve", RUN, "scope/go") == f"staunch approve {RUN} scope/go"
    assert with_inputs(["percent", "a b"]) == " --input percent=… --input 'a b'=…"


def shown_by(tell: Callable[[Console], object]) -> list[str]:
    """The lines that something is printed as."""
    console = Console(file=StringIO(), width=300)
    tell(console)
    return cast(StringIO, console.file).getvalue().splitlines()


def commands(lines: list[str]) -> Iterator[str]:
    yield from (line[line.index("staunch ") :] for line in lines if "staunch " in line)


def test_show_says_how_to_open_a_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = {"approvers": [], "inputs": {}, "rules": {}}
    run = detail(RUN, steps=[step(KEY, "gate", gate=gate)])

    def tell(console: Console) -> None:
        monkeypatch.setattr(reading, "console", console)
        reading.print_run(run)

    (command,) = commands(shown_by(tell))
    assert command.endswith(" (anybody)")
    assert read_by_bash(command.removesuffix(" (anybody)")) == APPROVE


def test_a_run_that_waits_for_a_shell_says_the_command() -> None:
    run = detail(RUN, waiting=[wait("job", KEY, phase="standby")])
    (line,) = waiting_lines(run, 0.0)
    command = line[line.index("staunch ") :]
    assert read_by_bash(command) == ["staunch", "shell", RUN, KEY]


@pytest.mark.parametrize(
    ("waiting", "said"),
    [
        (wait("signal", "s", names=[KEY]), ["signal", RUN, KEY]),
        (wait("retry", KEY), ["retry", RUN, KEY]),
        (wait("job", KEY, phase="standby"), ["shell", RUN, KEY]),
        (wait("pause", ""), ["resume", RUN]),
        (wait("nothing", ""), ["cancel", RUN]),
    ],
    ids=["signal", "retry", "shell", "resume", "cancel"],
)
def test_what_can_be_done_elsewhere_is_a_command(waiting: dict[str, Any], said: list[str]) -> None:
    run = detail(RUN, waiting=[waiting], state="succeeded", finished_at=1.0)

    class Host:
        def get(self, _path: str, **_query: object) -> dict[str, Any]:
            return run

    def tell(console: Console) -> None:
        follower = Follower(
            cast(Any, Host()), console, "--data '/a b'", lambda *_: None, lambda: None
        )
        follower.to_end(RUN)

    (command,) = commands(shown_by(tell))
    assert read_by_bash(command) == ["staunch", *said, "--data", "/a b"]


def test_a_gate_of_a_run_of_a_checkout_says_how_it_is_opened() -> None:
    class Host:
        url = "http://127.0.0.1:1"

        def post(self, _path: str, _body: object) -> dict[str, str]:
            return {"secret": "secret"}

    gate = {
        "key": KEY, "message": "", "approvers": [], "barred": [], "approved_by": [], "needed": 1,
        "inputs": {"per cent": "int"}, "rules": {},
    }  # fmt: skip

    def tell(console: Console) -> None:
        LocalGates(cast(Any, Host()), console, True, lambda: None).meet(RUN, gate)

    (command,) = commands(shown_by(tell))
    assert read_by_bash(command)[: len(APPROVE)] == APPROVE
    assert read_by_bash(command)[4:6] == ["--input", "per cent=…"]


def test_where_the_data_is_kept_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = "/srv/my [bold]data"
    wish = Wish(Path(folder), Path("/cache"), Hibernate.IDLE, 2, is_kept=True)

    def tell(console: Console) -> None:
        monkeypatch.setattr(reading, "console", console)
        reading.print_run(detail(RUN) | {"url": run._afterwards(wish)})

    (command,) = commands(shown_by(tell))
    command = command.partition("` shows")[0]
    assert read_by_bash(command) == ["staunch", "up", "--data", folder]


def test_the_host_says_whose_secret_is_to_be_set() -> None:
    said = secrets._nowhere("KEY", Scope(repo="local/1"), "acme/my shop; id")
    command = said.partition("`")[2].removesuffix("`")
    assert read_by_bash(command)[4:] == ["--repo", "acme/my shop; id"]


def test_a_page_shows_a_name_as_a_shell_reads_it() -> None:
    assert read_by_bash(f"staunch shell {RUN} {words.typed(KEY)}")[-1] == KEY
