"""Commands on exported runs: `export`, `import` and `replay`."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ci_host.cli.client import ClientError, find, run_path
from ci_host.cli.options import CacheOption, DataOption, ServerOption, TokenOption, default_cache
from ci_host.cli.plain import plain
from pipelines.bundle import FOLDER, SINGLE, TEXT_SUFFIXES, Bundle
from pipelines.commands import Command, Result
from pipelines.export import BadExport, Export, decode_export

if TYPE_CHECKING:
    from ci_host.engine.replays import Played
    from ci_host.tenant.sandbox import Sandbox  # imported where they are used: they load wasmtime

NO_IMAGE = 3


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(export)
    app.command("import")(import_file)
    app.command()(replay)


def export(
    run: str,
    to: Annotated[Path | None, typer.Option(help="Where to; else standard output.")] = None,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Write a run into one self-contained file: its code, and all that happened to it."""
    content = find(server, token, data).text(f"{run_path(run)}/export")
    if to is None:
        typer.echo(content, nl=False)
        return
    to.write_text(content, encoding="utf-8")
    typer.echo(f"{to}: {content.count(chr(10))} lines")


def import_file(
    file: Annotated[Path, typer.Argument(help="A file that `staunch export` wrote.")],
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Take in the record of a run of another installation, to look at."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ClientError(f"{file}: {error.strerror}", 2) from error
    taken = find(server, token, data).post_bytes("/runs/import", content)
    typer.echo(f"{taken['run']} {taken['state']}")


def replay(
    what: Annotated[str, typer.Argument(help="An exported file, or a run.")],
    code: Annotated[
        Path | None, typer.Option(help="Other code: the directory that holds .staunch.")
    ] = None,
    steps: Annotated[bool, typer.Option("--steps", help="Stop after each Turn.")] = False,
    here: Annotated[
        bool, typer.Option("--here", help="On this installation's guest image, not on the run's.")
    ] = False,
    cache: CacheOption = None,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Play a run's history again: does its code still decide what is recorded?"""
    path = Path(what)
    if path.is_file():
        content = path.read_bytes()
    else:
        content = find(server, token, data).text(f"{run_path(what)}/export").encode()
    try:
        known = decode_export(content)
    except BadExport as error:
        raise ClientError(f"{what}: {error}") from error
    bundle = None if code is None else bundle_of(code)
    count = 0
    for played in _on_image(known, bundle, cache or default_cache(), here=here):
        count += 1
        for line in told(played, in_full=steps):
            typer.echo(plain(line))
        if played.divergence:
            raise ClientError(f"diverges: {played.divergence}")
        if steps and sys.stdin.isatty():
            sys.stdin.readline()
    typer.echo(f"replays as recorded: {count} turns")


def bundle_of(directory: Path) -> Bundle:
    """The pipeline files of a directory. Raises ClientError."""
    folder, single = directory / FOLDER, directory / SINGLE
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix in TEXT_SUFFIXES)
    if not folder.is_dir():
        paths = [single] if single.is_file() else []
    if not paths:
        raise ClientError(f"{directory} has no pipeline: neither {FOLDER}/ nor {SINGLE}", 2)
    try:
        files = {p.relative_to(directory).as_posix(): p.read_text("utf-8") for p in paths}
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"{directory}: {error}", 2) from error
    return Bundle(files=files)


def _on_image(
    export: Export, bundle: Bundle | None, cache: Path, *, here: bool
) -> "Iterator[Played]":
    """Played on the image that the Run is pinned to, on a thread that may enter a sandbox."""
    from ci_host.adapters.wasm.image import ImageUnavailable
    from ci_host.adapters.wasm.instance import WasmImage
    from ci_host.tenant.host import TenantHost
    from ci_host.tenant.limits import Limits
    from ci_host.tenant.threads import sandbox_threads

    limits = Limits(blanks=0)
    pinned = None if export.pins is None or here else export.pins.image
    try:
        image = WasmImage(cache, limits, _tell, digest=pinned)
    except ImageUnavailable as error:
        raise ClientError(f"{error}. --here replays on today's image", NO_IMAGE) from error
    thread = sandbox_threads(1)
    try:
        yield from _on_thread(thread, export, TenantHost(image, limits), bundle)
    finally:
        thread.shutdown()
        image.close()


def _on_thread(
    thread: ThreadPoolExecutor, export: Export, sandbox: "Sandbox", bundle: Bundle | None
) -> "Iterator[Played]":
    from ci_host.engine.replays import replay as played_again

    turns = played_again(export, sandbox, bundle)
    try:
        while (played := thread.submit(next, turns, None).result()) is not None:
            yield played
    finally:
        thread.submit(turns.close).result()
        sandbox.close()


def _tell(said: str) -> None:
    typer.echo(said, err=True)


def told(played: "Played", *, in_full: bool) -> Iterator[str]:
    """One Turn in lines: number, time, what came in, what was asked for, what settled."""
    turn = played.turn
    at = datetime.fromtimestamp(turn.now, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    how = " (ended by the host)" if played.by_host else ""
    yield f"turn {turn.number}  {at} UTC  {turn.state}{how}"
    for given in played.inputs:
        yield f"  in    {type(given.input).__struct_config__.tag} #{given.sequence}"
    for command in turn.commands:
        yield f"  asks  {_asked(command, in_full=in_full)}"
    for result in turn.results:
        yield f"  has   {_settled(result, in_full=in_full)}"
    if in_full and turn.printed:
        yield f"  says  {turn.printed.rstrip()}"


def _asked(command: Command, *, in_full: bool) -> str:
    rest = f" fingerprint {command.fingerprint}" if in_full else ""
    return f"{command.kind} {command.key} #{command.attempt}{rest}"


def _settled(result: Result, *, in_full: bool) -> str:
    value = f" = {result.shown().value!r}" if in_full and result.value is not None else ""
    error = f": {result.error.message}" if result.error is not None else ""
    return f"{result.kind} {result.key} {result.state}{value}{error}"
