"""`staunch lint`: what people, editors and scripts are told."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ci_host.cli import command_line
from ci_host.cli.client import ClientError
from pipelines.bundle import FILE_BYTES_MAX, FILES_MAX

GOOD = 'async def run(event, step):\n    await step.job("test", run="make")\n'
BAD = 'async def run(event, step):\n    await step.jbo("test", run="make")\n'
PIPELINE = ".staunch/pipeline.py"
HEAVY = ("nats", "sqlalchemy", "fastapi", "uvicorn", "wasmtime", "git", "httpx2", "rich.table")


def checkout(folder: Path, files: dict[str, str]) -> Path:
    """A folder with these files."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def lint(*words: object) -> tuple[int, str]:
    """The exit code, and what is printed or said instead."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            code = command_line().main(["lint", *map(str, words)], standalone_mode=False)
        except ClientError as error:
            return error.exit_code, str(error)
    return code or 0, printed.getvalue()


def test_a_pipeline_without_a_mistake_says_nothing_and_ends_with_0(tmp_path):
    assert lint(checkout(tmp_path, {PIPELINE: GOOD})) == (0, "")


def test_a_mistake_is_one_line_that_editors_can_click_and_an_indented_fix(tmp_path, monkeypatch):
    checkout(tmp_path, {PIPELINE: BAD})
    monkeypatch.chdir(tmp_path)
    assert lint() == (
        1,
        ".staunch/pipeline.py:2:11: unknown-verb: there is no step.jbo\n    fix: write step.job\n",
    )


def test_from_a_folder_of_the_checkout_the_pipeline_above_is_found(tmp_path):
    checkout(tmp_path, {PIPELINE: BAD, "src/deep/a.txt": ""})
    code, told = lint(tmp_path / "src/deep")
    assert code == 1
    assert told.startswith(f"{tmp_path}/.staunch/pipeline.py:2:11: ")


def test_of_a_file_only_its_own_mistakes_are_told(tmp_path):
    checkout(tmp_path, {PIPELINE: BAD, ".staunch/nightly.py": GOOD})
    assert lint(tmp_path / ".staunch/nightly.py") == (0, "")
    assert lint(tmp_path / PIPELINE)[0] == 1


def test_a_file_in_the_root_is_a_pipeline(tmp_path):
    code, told = lint("--json", checkout(tmp_path, {".staunch.py": BAD}))
    assert code == 1
    assert [one["rule"] for one in json.loads(told)["findings"]] == ["unknown-verb"]


def test_programs_get_every_part_of_a_finding(tmp_path, monkeypatch):
    checkout(tmp_path, {PIPELINE: BAD})
    monkeypatch.chdir(tmp_path)
    assert json.loads(lint("--json")[1]) == {
        "files": 1,
        "findings": [
            {
                "file": PIPELINE,
                "line": 2,
                "column": 11,
                "end_line": 2,
                "end_column": 19,
                "rule": "unknown-verb",
                "message": "there is no step.jbo",
                "fix": "write step.job",
            }
        ],
    }


@pytest.mark.parametrize("files", [{}, {"src/a.py": GOOD}], ids=["nothing", "other-files"])
def test_where_there_is_no_pipeline_the_exit_code_is_4(tmp_path, files):
    checkout(tmp_path, {".git/config": "", **files})
    code, told = lint(tmp_path)
    assert code == 4
    assert "add .staunch/pipeline.py" in told


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({".staunch/README.md": "# Ours"}, "the one file in it is not a .py directly there"),
        (
            {".staunch/lib/a.py": GOOD, ".staunch/notes.md": ""},
            "none of the 2 files in it is a .py directly there, so that a push starts nothing",
        ),
        (
            {".staunch/README.md": "# Ours", ".staunch.py": GOOD},
            ".staunch.py is not read beside it: move it to .staunch/pipeline.py",
        ),
    ],
    ids=["text", "a-module", "beside-the-single-file"],
)
def test_a_folder_without_a_file_that_could_be_a_pipeline_holds_none(tmp_path, files, said):
    code, told = lint(checkout(tmp_path, files))
    assert (code, said in told) == (4, True), told


def test_a_folder_whose_files_are_no_pipeline_is_a_mistake(tmp_path, monkeypatch):
    monkeypatch.chdir(checkout(tmp_path, {PIPELINE: "", ".staunch/README.md": "# Ours"}))
    code, told = lint()
    assert (code, told.partition(" no file")[0]) == (1, ".staunch/pipeline.py:1:1: no-run:")


def test_a_file_that_is_no_part_of_the_pipeline_is_refused(tmp_path):
    checkout(tmp_path, {PIPELINE: GOOD, "src/a.py": BAD})
    code, told = lint(tmp_path / "src/a.py")
    assert (code, "no file of the pipeline" in told) == (4, True)


def test_a_path_that_is_not_there_is_a_command_written_wrongly(tmp_path):
    assert lint(tmp_path / "nowhere")[0] == 2


def test_a_file_that_is_no_text_or_a_link_is_a_finding(tmp_path):
    checkout(tmp_path, {PIPELINE: GOOD})
    (tmp_path / ".staunch/bytes.py").write_bytes(b"x = '\xff'\n")
    (tmp_path / ".staunch/link.py").symlink_to(tmp_path / PIPELINE)
    told = lint(tmp_path)[1]
    assert "bytes.py:1:1: refused-file: it is not UTF-8 text (byte 5)" in told
    assert "link.py:1:1: refused-file: a pipeline's file may not be a symbolic link" in told


@pytest.mark.parametrize("more", [0, 1])
def test_a_file_may_be_as_large_as_a_push_may_bring_and_no_larger(tmp_path, more):
    checkout(tmp_path, {PIPELINE: GOOD, ".staunch/a.txt": "x" * (FILE_BYTES_MAX + more)})
    assert lint(tmp_path)[0] == more


@pytest.mark.parametrize("more", [0, 1])
def test_there_may_be_as_many_files_as_a_push_may_bring_and_no_more(tmp_path, more):
    files = {f".staunch/{number}.txt": "" for number in range(FILES_MAX - 1 + more)}
    checkout(tmp_path, {PIPELINE: GOOD, **files})
    assert lint(tmp_path)[0] == more


def test_what_a_terminal_would_obey_is_not_printed(tmp_path):
    source = 'async def run(event, step):\n    await step.job("\\x1b[2J/", run="make")\n'
    told = lint(checkout(tmp_path, {PIPELINE: source}))[1]
    assert "wrong-name" in told
    assert "\x1b" not in told


def test_a_schedule_is_asked_of_what_keeps_schedules(tmp_path):
    source = f'from staunch import on\n\non.schedule("0 25 * * *")\n\n\n{GOOD}'
    assert ":3:1: wrong-schedule: " in lint(checkout(tmp_path, {PIPELINE: source}))[1]


def test_lint_imports_nothing_that_it_does_not_need(tmp_path):
    checkout(tmp_path, {PIPELINE: GOOD})
    asked = (
        "import runpy, sys\n"
        f"sys.argv = ['staunch', 'lint', {str(tmp_path)!r}]\n"
        "try:\n    runpy.run_module('ci_host', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print(sorted(set({HEAVY}) & set(sys.modules)))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.splitlines()[-1] == "[]"


def test_an_encrypted_file_that_cannot_be_read_is_a_mistake_in_its_line(tmp_path, monkeypatch):
    sealed = "# ours\nDEPLOY_KEY: |\n  aaaa\nbroken\n"
    checkout(tmp_path, {PIPELINE: GOOD, ".staunch/secrets.age": sealed})
    monkeypatch.chdir(tmp_path)
    code, said = lint()
    assert (code, said.partition(": ")[0]) == (1, ".staunch/secrets.age:4:1")
    assert "wrong-secrets-file" in said
    (tmp_path / ".staunch/secrets.age").write_text("DEPLOY_KEY: |\n  aaaa\n")
    assert lint()[0] == 0


def test_who_asks_and_finds_no_installation_is_told_how_to_name_one(tmp_path):
    where = checkout(tmp_path, {PIPELINE: GOOD})
    code, said = lint(where, "--ask", "--data", tmp_path / "none")
    assert code == 3
    assert "--server" in said
