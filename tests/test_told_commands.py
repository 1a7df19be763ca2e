"""Told commands: every `staunch …` that a page shows is one that the command line takes."""

import html
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from ci_host.cli import command_line
from ci_host.cli.init import FILE, init
from tests.repos import Repo

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").glob("*.md")]
)
CHECKOUTS = sorted((ROOT / "tests" / "checkouts").iterdir())
TEMPLATES = sorted((ROOT / "ci_host" / "web" / "templates").glob("*.html"))
# What was, and what was tried, is told as it was.
PAST = {"CHANGELOG.md", "docs/new-users.md"}
FENCE = re.compile(r"^```(?:console|sh|bash)?\n(.*?)^```", re.M | re.S)
LINE = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(staunch .+)$", re.M)
INLINE = re.compile(r"`(staunch [^`\n]+)`")
USAGE = cast(Any, typer.BadParameter.__base__)
SHOWN = re.compile(r"(?:<code>|<pre[^>]*>|^)(staunch .+?)(?=<|$)", re.M)
# A number where one is asked for, and a name elsewhere.
PLACE = re.compile(r"<[^>]*>|…")


def told(text: str) -> Iterator[str]:
    """The commands of a page, each once."""
    blocks = [block.replace("\\\n", " ") for block in FENCE.findall(text)]
    fenced = [line for block in blocks for line in LINE.findall(block)]
    for found in dict.fromkeys([*fenced, *INLINE.findall(re.sub(FENCE, "", text))]):
        for part in re.split(r" && | \|\| | \| | [<>] | # |  +#", found):
            if part.startswith("staunch ") and not part.startswith("staunch <"):
                yield part


def words_of(said: str) -> list[str]:
    """The words that a shell would hand over, something in the place of what is left open."""
    filled = PLACE.sub("7", said.replace("[", "").replace("]", ""))
    return shlex.split(filled)[1:]


def trouble(words: list[str]) -> str:
    """What the command line has against them; a value or an argument may be left out."""
    command, name = cast(Any, command_line()), "staunch"
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        name, *words = words
        if name not in command.commands:
            return f"there is no command {name}"
        command = command.commands[name]
    context = type(command).context_class(command, info_name=name)
    try:
        _, rest, _ = command.make_parser(context).parse_args(list(words))
    except USAGE as error:
        return "" if "requires an argument" in error.message else str(error.message)
    return f"unexpected: {' '.join(rest)}" if rest else ""


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_a_command_that_a_page_shows_is_taken(page: str) -> None:
    if page in PAST:
        return
    text = (ROOT / page).read_text()
    assert {one: said for one in told(text) if (said := trouble(words_of(one)))} == {}


@pytest.mark.parametrize("page", [page.name for page in TEMPLATES])
def test_a_command_that_a_page_of_the_host_shows_is_taken(page: str) -> None:
    text = re.sub(r"\{\{.*?\}\}", "7", (TEMPLATES[0].parent / page).read_text())
    shown = [html.unescape(one) for one in SHOWN.findall(text)]
    assert {one: said for one in shown if (said := trouble(words_of(one)))} == {}


@pytest.mark.parametrize("checkout", [one.name for one in CHECKOUTS])
def test_what_init_says_to_do_next_is_taken(
    checkout: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = Repo(tmp_path)
    shutil.copytree(CHECKOUTS[0].parent / checkout, repo.work, dirs_exist_ok=True)
    # It would fetch packages, so that its jobs need a network.
    (repo.work / "requirements.txt").write_text("pytest\n")
    init(Path(repo.work))
    said = capsys.readouterr().out
    shown = [one.strip() for one in re.findall(r"staunch [^&\n]+", said)]
    assert any(one.startswith("staunch run") for one in shown)
    assert ("staunch run --egress" in said) == ("egress=" in (repo.work / FILE).read_text())
    assert {one: told for one in shown if (told := trouble(words_of(one)))} == {}


def test_a_command_that_is_none_is_found() -> None:
    assert trouble(["aprove", "r"]) == "there is no command aprove"
    assert "No such option" in trouble(["approve", "r", "g", "--inputs", "a=1"])
    assert "unexpected: h" in trouble(["approve", "r", "g", "h"])
    assert trouble(["approve", "r", "g", "--input", "a=1"]) == ""
