"""`staunch run`: the pipeline of a working tree, here and now, on an installation of its own."""

import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ci_host.cli import reading
from ci_host.cli.building import build_image
from ci_host.cli.client import ClientError
from ci_host.cli.following import ENDED_WELL
from ci_host.cli.local_host import LocalHost, Wish
from ci_host.cli.local_runs import Asked, LocalRuns, Superseded
from ci_host.cli.options import (
    CacheOption,
    EgressOption,
    HibernateOption,
    JsonOption,
    SlotsOption,
    SupposeOption,
    VolumeOption,
    WaitOption,
    default_cache,
    egress_of,
    volumes_of,
    wait_s_of,
)
from ci_host.cli.paper import divide, paper
from ci_host.cli.pasted import pasted
from ci_host.cli.plain import escape
from ci_host.cli.plan import check_only, supposed_values
from ci_host.cli.tree_watch import TreeWatch
from ci_host.cli.working_tree import top_of
from ci_host.cli.writing import parsed_inputs
from ci_host.settings import Hibernate

INTERRUPTED = 130
LOOK_S = 0.5

EventOption = Annotated[
    str, typer.Option("--event", help="As if it had happened: push, pr, tag:NAME, or a JSON file.")
]

OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", help="Only this step, or glob, is run; others succeed at once."),
]
SecretOption = Annotated[
    list[str] | None, typer.Option("--secret", help="NAME: the value is in that variable.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    path: Annotated[Path, typer.Argument(help="A git checkout.")] = Path(),
    pipeline: Annotated[
        str, typer.Option(help="Which one. Default: pipeline; with --event, all that want it.")
    ] = "",
    event: EventOption = "",
    only: OnlyOption = None,
    suppose: SupposeOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Run again whenever the files change.")
    ] = False,
    input_: Annotated[list[str] | None, typer.Option("--input", help="NAME=VALUE")] = None,
    secret: SecretOption = None,
    hibernate: HibernateOption = Hibernate.IDLE,
    slots: SlotsOption = 2,
    volume: VolumeOption = None,
    egress: EgressOption = None,
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
    console = paper(stderr=True) if as_json else reading.console
    asked = Asked(
        *(event, pipeline, parsed_inputs(input_ or []), wait_s_of(wait_on_failure)),
        *(_values(secret or []), yes, tuple(only or ()), _supposed(suppose or [], only or [])),
    )
    reach = (volumes_of(volume or []), egress_of(egress))
    top = top_of(path.absolute())
    images = (cache or default_cache()).resolve()
    build_image(images)
    with _endable(), _folder(data, is_kept=keep) as folder:
        wish = Wish(folder, images, hibernate, slots, keep or data is not None, *reach)
        _say_kept(wish, console)
        with LocalHost(wish) as host:
            if asked.only:
                _check_only(top, images, asked)
            runs = LocalRuns(host, console, asked, top, _bare(folder, top))
            if watch:
                _again_and_again(runs, as_json=as_json)
            ended = runs.to_end(runs.start())
            # Before what was started for it has ended: nobody need wait for that to know.
            _print_ended(ended, _afterwards(wish), asked, as_json=as_json)
            sys.stdout.flush()
    if any(detail["state"] != ENDED_WELL for detail in ended):
        raise typer.Exit(1)


def _say_kept(wish: Wish, console: Console) -> None:
    if wish.is_kept:
        # Lines that name a place stay whole, for whoever pastes it.
        console.print(
            f"its data is kept in {escape(str(wish.data))}", highlight=False, soft_wrap=True
        )


def _supposed(given: list[str], only: list[str]) -> dict[str, dict[str, Any]]:
    if given and not only:
        raise ClientError("--suppose says what steps hand over that --only leaves out", 2)
    return supposed_values(given)


def _check_only(top: Path, images: Path, asked: Asked) -> None:
    """While the installation comes up. Raises ClientError: a name is no step's."""
    # Only here: it loads a sandbox into this process.
    from ci_host.cli import plan_finding
    from ci_host.testkit.supposed import Supposition

    supposition = Supposition(values=asked.values)
    wish = plan_finding.Asked(asked.event, asked.pipeline, asked.inputs, supposition)
    check_only(top, images, wish, asked.only)


def _again_and_again(runs: LocalRuns, *, as_json: bool) -> None:
    """One run after the other, as the files change, until somebody ends it."""
    with TreeWatch(runs.top) as files:
        runs.files = files
        while True:
            try:
                _once(runs, as_json=as_json)
                runs.console.print("[dim]waiting for a change; Ctrl-C ends it[/]")
                while True:
                    runs.look(LOOK_S)
            except Superseded:
                divide(runs.console, "the files have changed")


def _once(runs: LocalRuns, *, as_json: bool) -> None:
    """What is refused of this state of the files, the next may do better. Raises Superseded."""
    try:
        ended = runs.to_end(runs.start())
    except ClientError as error:
        runs.host.check_alive()
        runs.console.print(f"[red]{escape(str(error))}[/]", highlight=False)
        return
    _print_ended(ended, "its record is kept until Ctrl-C", runs.asked, as_json=as_json)


def _print_ended(ended: list[dict[str, Any]], where: str, asked: Asked, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"runs": ended} if asked.event else ended[0]))
        return
    for detail in ended:
        # There is no page any more.
        reading.print_run(detail | {"url": where})


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
        return f"kept: `{pasted('up', '--data', str(wish.data))}` shows it again"
    return "its record is removed; --keep would have kept it"


def _values(names: list[str]) -> dict[str, str]:
    """Of secrets, from the environment: a command line is seen by everybody on the machine."""
    for name in names:
        if name not in os.environ:
            raise ClientError(
                f"--secret {name} takes the value of the variable {name}, which is not set", 2
            )
    return {name: os.environ[name] for name in names}
