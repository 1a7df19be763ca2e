"""`staunch lint`: what is wrong with a pipeline, before it is pushed. Here: files and words.

Nothing heavy is imported and no git is asked: editors call it at every key.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ci_host.cli.client import ClientError, find
from ci_host.cli.options import DataOption, JsonOption, ServerOption, TokenOption
from ci_host.cli.plain import plain
from pipelines.bundle import (
    BUNDLE_BYTES_MAX,
    FILE_BYTES_MAX,
    FILES_MAX,
    FOLDER,
    SINGLE,
    TEXT_SUFFIXES,
)
from pipelines.guest.loading import pipeline_files
from pipelines.lint.check import lint as findings_of
from pipelines.lint.finding import Finding
from pipelines.lint.project import Known

if TYPE_CHECKING:
    from pipelines.schedule import Schedule

RULE = "refused-file"
SEALED = f"{FOLDER}/secrets.age"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(lint)


def lint(
    path: Annotated[
        Path, typer.Argument(help="A checkout or a folder in it; or one file of a pipeline.")
    ] = Path(),
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask an installation which secrets and pools it has.")
    ] = False,
    server: ServerOption = None,
    token: TokenOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the mistakes of a pipeline before it is pushed. Nothing of it is executed."""
    if not path.exists():
        raise ClientError(f"there is no {path}", 2)
    top = _top(path)
    files, refused = _read(top)
    known: Known | None = None
    if ask or (top / SEALED).exists():
        # Only here: most repositories have no such file, and editors wait for every import.
        from ci_host.cli.lint_asking import known_of, sealed_names

        sealed, wrong = sealed_names(top)
        refused += wrong
        known = known_of(find(server, token, data), sealed) if ask else None
    found = [*refused, *findings_of(files, _check_schedule, known)]
    if path.is_file():
        wanted = path.resolve().relative_to(top.resolve()).as_posix()
        found = [one for one in found if one.file == wanted]
    shown = [(_shown(top, one.file), one) for one in sorted(found)]
    if as_json:
        told = [one.told() | {"file": file} for file, one in shown]
        typer.echo(json.dumps({"files": len(files), "findings": told}))
    elif found:
        _print(shown)
    else:
        many = "1 file" if len(files) == 1 else f"{len(files)} files"
        typer.echo(f"no mistakes in {many} of {top.name}", err=True)
    if found:
        raise typer.Exit(1)


def _top(path: Path) -> Path:
    """The folder that `.staunch` is in: this one, or the nearest above. Raises ClientError."""
    start = path.resolve()
    for folder in (start, *start.parents):
        if (folder / FOLDER).is_dir() or (folder / SINGLE).is_file():
            if path.is_file() and not _is_of(folder, start):
                raise ClientError(f"{path} is no file of the pipeline in {folder / FOLDER}", 4)
            return folder
        if (folder / ".git").exists():
            break
    raise ClientError(
        f"there is no pipeline in {path}: add {FOLDER}/pipeline.py or {SINGLE} with an"
        " `async def run(event, step)`",
        4,
    )


def _is_of(folder: Path, file: Path) -> bool:
    return file == folder / SINGLE or file.is_relative_to(folder / FOLDER)


def _read(top: Path) -> tuple[dict[str, str], list[Finding]]:
    """The files as a push would bring them, and those that it would be refused for."""
    files: dict[str, str] = {}
    refused: list[Finding] = []
    paths = list(_walk(top / FOLDER))
    if not paths and (top / SINGLE).exists():
        paths = [top / SINGLE]
    if not pipeline_files(one.relative_to(top).as_posix() for one in paths):
        raise ClientError(_nothing_there(top, len(paths)), 4)
    for one in paths:
        name = one.relative_to(top).as_posix()
        text = _text(one)
        if isinstance(text, str):
            files[name] = text
        else:
            refused.append(Finding(name, 1, 1, RULE, *text, 1, 1))
    total = sum(len(text.encode()) for text in files.values())
    if len(paths) > FILES_MAX or total > BUNDLE_BYTES_MAX:
        message = f"{FOLDER} holds {len(paths)} files of {total:,} bytes together"
        fix = f"keep {FILES_MAX} files of {BUNDLE_BYTES_MAX:,} bytes there at most"
        refused.append(Finding(min(files, default=FOLDER), 1, 1, RULE, message, fix, 1, 1))
    return files, refused


def _nothing_there(top: Path, count: int) -> str:
    """Of a folder that holds no file that could be a pipeline."""
    if not count:
        return f"{top / FOLDER} is empty: add a pipeline.py to it"
    many = "the one file" if count == 1 else f"none of the {count} files"
    said = f"there is no pipeline in {top / FOLDER}: {many} in it is"
    said += f"{' not' if count == 1 else ''} a .py directly there, so that a push starts nothing"
    if (top / SINGLE).exists():
        return f"{said}; {SINGLE} is not read beside it: move it to {FOLDER}/pipeline.py"
    return f"{said}; add {FOLDER}/pipeline.py with an `async def run(event, step)`"


def _walk(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            if Path(name).suffix in TEXT_SUFFIXES or (Path(here) / name).is_symlink():
                yield Path(here) / name


def _text(path: Path) -> str | tuple[str, str]:
    """A file's text; or what is wrong with it, and what to do."""
    if path.is_symlink():
        return "a pipeline's file may not be a symbolic link", "put the file itself there"
    if (size := path.stat().st_size) > FILE_BYTES_MAX:
        fix = f"keep it below {FILE_BYTES_MAX:,} bytes; a job can read what is larger"
        return f"it has {size:,} bytes", fix
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        return f"it is not UTF-8 text (byte {error.start})", "save it as UTF-8"


def _check_schedule(schedule: "Schedule") -> None:
    # Only pipelines with schedules wait for what knows them.
    from ci_host.engine.calendar import check

    check(schedule, time.time())


def _shown(top: Path, file: str) -> str:
    """The path as an editor finds it from where the command runs."""
    whole = top.resolve() / file
    here = Path.cwd().resolve()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else str(whole)


def _print(shown: list[tuple[str, Finding]]) -> None:
    is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for file, one in shown:
        place = f"{file}:{one.line}:{one.column}"
        # One line each, and a file may be anybody's.
        rule, message, fix = one.rule, plain(one.message, ""), plain(one.fix, "")
        if is_coloured:
            place, rule = (typer.style(place, bold=True), typer.style(rule, fg="red"))
            fix = typer.style(fix, fg="green")
        typer.echo(f"{place}: {rule}: {message}")
        typer.echo(f"    fix: {fix}")
    if shown:
        typer.echo(f"{len(shown)} mistake{'' if len(shown) == 1 else 's'}", err=True)
