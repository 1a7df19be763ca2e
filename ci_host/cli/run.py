"""`staunch run`: the pipeline of a working tree, here and now, on an installation of its own."""

import hashlib
import json
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ci_host.cli import reading
from ci_host.cli.client import Client, ClientError
from ci_host.cli.following import ENDED_WELL, Follower
from ci_host.cli.local_gates import LocalGates
from ci_host.cli.local_host import LocalHost, Wish
from ci_host.cli.options import CacheOption, JsonOption, WaitOption, default_cache, wait_s_of
from ci_host.cli.up import HibernateOption, SlotsOption, build_image
from ci_host.cli.working_tree import Snapshot, snapshot, top_of
from ci_host.cli.writing import parsed_inputs
from ci_host.settings import Hibernate

CONNECTION = "local"
INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    path: Annotated[Path, typer.Argument(help="A git checkout.")] = Path(),
    pipeline: str = "pipeline",
    input_: Annotated[list[str] | None, typer.Option("--input", help="NAME=VALUE")] = None,
    secret: Annotated[
        list[str] | None, typer.Option("--secret", help="NAME: the value is in that variable.")
    ] = None,
    hibernate: HibernateOption = Hibernate.IDLE,
    slots: SlotsOption = 2,
    wait_on_failure: WaitOption = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Open gates without asking.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Keep everything in this directory; else it is removed.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep it, and say where.")] = False,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the pipeline of a checkout here, uncommitted changes and all, without a server."""
    console = Console(stderr=True) if as_json else reading.console
    asked: dict[str, Any] = {"pipeline": pipeline, "inputs": parsed_inputs(input_ or [])}
    asked["wait_s"] = wait_s_of(wait_on_failure)
    values = _values(secret or [])
    top = top_of(path.absolute())
    images = (cache or default_cache()).resolve()
    build_image(images)
    with _endable(), _folder(data, is_kept=keep) as folder:
        taken = snapshot(top, _bare(folder, top))
        console.print(_what(taken), highlight=False)
        wish = Wish(folder, images, hibernate, slots, is_kept=keep or data is not None)
        if wish.is_kept:
            console.print(f"its data is kept in {folder}", highlight=False, soft_wrap=True)
        began = time.monotonic()
        with LocalHost(wish) as host:
            console.print(f"[dim]started in {time.monotonic() - began:.1f} s[/]", highlight=False)
            id_ = _start(host, console, taken, asked, values)
            console.print(f"run [bold]{id_}[/]", highlight=False)
            gates = LocalGates(host.client, console, yes)
            where = f"--data {folder}"
            follower = Follower(host.client, console, where, gates.meet, host.check_alive)
            detail = follower.to_end(id_)
    if as_json:
        typer.echo(json.dumps(detail))
    else:
        # There is no page any more.
        reading.print_run(detail | {"url": _afterwards(wish)})
    if detail["state"] != ENDED_WELL:
        raise typer.Exit(1)


@contextmanager
def _endable() -> Iterator[None]:
    """What ends a command makes it leave its contexts, and say so with its exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # `nohup` has its way.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave)
    try:
        yield
    except KeyboardInterrupt:
        raise ClientError("interrupted; what it had started has ended", INTERRUPTED) from None


def _leave(number: int, _frame: object) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _folder(data: Path | None, *, is_kept: bool) -> Iterator[Path]:
    """The data directory. A temporary one is the keeper's to remove, and ours until it is begun."""
    if data is not None:
        yield data.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="staunch-run-")).resolve()
    try:
        yield folder
    finally:
        if not is_kept:
            shutil.rmtree(folder, ignore_errors=True)


def _bare(folder: Path, top: Path) -> Path:
    """Where the checkout's commits are kept: one place for each, should the data be used again."""
    own = folder / "checkouts" / hashlib.sha256(str(top).encode()).hexdigest()[:16]
    own.mkdir(parents=True, exist_ok=True)
    return own / f"{top.name}.git"


def _afterwards(wish: Wish) -> str:
    if wish.is_kept:
        return f"kept: `staunch up --data {wish.data}` shows it again"
    return "its record is removed; --keep would have kept it"


def _what(taken: Snapshot) -> str:
    at = f" at {escape(taken.ref.removeprefix('refs/heads/'))}" if taken.ref else ""
    if taken.changed is None:
        differs = "nothing committed yet"
    elif taken.changed:
        differs = f"{taken.changed} changed file{'s' if taken.changed > 1 else ''} not committed"
    else:
        differs = "as committed"
    return f"[bold]{escape(taken.top.name)}[/]{at}, {differs}: {taken.commit[:10]}"


def _values(names: list[str]) -> dict[str, str]:
    """Of secrets, from the environment: a command line is seen by everybody on the machine."""
    for name in names:
        if name not in os.environ:
            raise ClientError(
                f"--secret {name} takes the value of the variable {name}, which is not set", 2
            )
    return {name: os.environ[name] for name in names}


def _start(
    host: LocalHost,
    console: Console,
    taken: Snapshot,
    wish: dict[str, Any],
    values: dict[str, str],
) -> str:
    """The run. One whose commit takes long to fetch is asked for again, by the same key."""
    client = host.client
    repo = _registered(client, taken)
    for name, value in values.items():
        client.put("/secrets", {"name": name, "repo": repo, "value": value})
    body = {
        "repo": repo,
        "commit": taken.commit,
        "ref": taken.ref,
        "key": secrets.token_hex(8),
        **wish,
    }
    while True:
        host.check_alive()
        try:
            (id_,) = client.post("/runs", body)["runs"]
        except ClientError as error:
            if error.status != 503:
                raise
            console.print("[yellow]its commit is still being fetched[/]")
            continue
        return str(id_)


def _registered(client: Client, taken: Snapshot) -> str:
    client.put("/connections", {"id": CONNECTION, "kind": "git"})
    where = str(taken.bare)
    body = {"connection": CONNECTION, "external_id": where, "clone_url": where}
    return str(client.put("/repos", {**body, "name": taken.top.name})["id"])
