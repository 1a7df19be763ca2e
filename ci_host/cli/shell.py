"""`staunch shell`: a terminal in the sandbox of a job that waits after a failed step."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from ci_host.cli.client import Client, ClientError, find, run_path
from ci_host.cli.options import DataOption, ServerOption, TokenOption

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection  # imported where it is used

LEAVE = b"\x1d"  # Ctrl-]
READ_BYTES = 4096
OPEN_S = 20.0
NOT_ALLOWED, NOT_THERE = 1, 4
GONE = "the host is gone; the job may wait on: open another terminal"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(shell)


def shell(
    run: str,
    job: Annotated[str, typer.Argument(help="The job's name; not needed if one waits.")] = "",
    end: Annotated[bool, typer.Option("--end", help="End its wait; it is then reported.")] = False,
    data: DataOption = None,
    server: ServerOption = None,
    token: TokenOption = None,
) -> None:
    """Open a terminal in a job that waits after a failed step. Ctrl-] leaves it at once."""
    client = find(server, token, data)
    chosen = _choose(client.get(run_path(run)), job)
    if end:
        client.post(f"/jobs/{chosen}/shell/end", {})
        typer.echo(f"the wait of job {chosen} is over")
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ClientError("a terminal can only be opened from one: stdin and stdout are none", 2)
    typer.echo(f"\n{asyncio.run(_session(client, chosen))}", err=True)


def _choose(run: dict[str, Any], job: str) -> str:
    """The newest attempt of the job, or of the only one that waits. Raises ClientError."""
    waiting = sorted(one["key"] for one in run["waiting"] if one.get("phase") == "standby")
    if not job and len(waiting) == 1:
        job = waiting[0]
    found = [attempt for attempt in run["attempts"] if attempt["key"] == job]
    if found:
        return str(max(found, key=lambda one: one["attempt"])["job"])
    there = ", ".join(sorted({attempt["key"] for attempt in run["attempts"]})) or "none yet"
    said = f"has no job {job!r}; it has: {there}" if job else f"has {len(waiting)} that wait"
    more = "" if job else f"{': ' + ', '.join(waiting) if waiting else ''}; name one"
    raise ClientError(f"run {run['id']} {said}{more}", NOT_THERE)


async def _session(client: Client, job: str) -> str:
    """A terminal, from the first key to the last; answers why it is over. Raises ClientError."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidStatus, WebSocketException

    # That of the terminal itself: COLUMNS and LINES may be what somebody wants of a table.
    columns, rows = os.get_terminal_size(sys.stdout.fileno())
    size = {"columns": columns, "rows": rows, "term": os.environ.get("TERM", "dumb")}
    url = f"ws{client.url.removeprefix('http')}/api/v1/jobs/{job}/shell?{urlencode(size)}"
    try:
        connection = await connect(
            url,
            additional_headers=client.headers,
            open_timeout=OPEN_S,
            max_size=None,
            compression=None,
            proxy=None,
        )
    except InvalidStatus as refused:
        raise ClientError(_reason(refused.response), NOT_ALLOWED) from refused
    except (OSError, TimeoutError, WebSocketException) as error:
        raise ClientError(f"no terminal from {client.url}: {error}", 3) from error
    typer.echo(f"a terminal in job {job}; Ctrl-] leaves it", err=True)
    async with connection:
        with _raw():
            return await _look(connection)


def _reason(response: Any) -> str:  # noqa: ANN401  the library's
    try:
        return str(json.loads(response.body)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the host answered {response.status_code}"


async def _look(connection: "ClientConnection") -> str:
    """Pass on what is typed and shown until one side ends it; answers why it is over."""
    tasks = [asyncio.create_task(one) for one in (_typed(connection), _shown(connection))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _typed(connection: "ClientConnection") -> str:
    """Keys, and sizes of the window."""
    from websockets.exceptions import ConnectionClosed

    loop = asyncio.get_running_loop()
    told: asyncio.Queue[bytes | str] = asyncio.Queue()
    stdin = sys.stdin.fileno()

    def resized() -> None:
        columns, rows = os.get_terminal_size()
        told.put_nowait(json.dumps({"columns": columns, "rows": rows}))

    loop.add_reader(stdin, lambda: told.put_nowait(os.read(stdin, READ_BYTES)))
    loop.add_signal_handler(signal.SIGWINCH, resized)
    try:
        while True:
            one = await told.get()
            if isinstance(one, bytes) and (not one or LEAVE in one):
                return "you left; the job waits on, until its time is up"
            await connection.send(one)
    except ConnectionClosed:
        return GONE
    finally:
        loop.remove_reader(stdin)
        loop.remove_signal_handler(signal.SIGWINCH)


async def _shown(connection: "ClientConnection") -> str:
    async for message in connection:
        if isinstance(message, str):
            return str(json.loads(message).get("ended", "it is over"))
        view = memoryview(message)
        while view:
            view = view[os.write(sys.stdout.fileno(), view) :]
    return GONE


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """The person's terminal passes every key on."""
    stdin = sys.stdin.fileno()
    before = termios.tcgetattr(stdin)
    try:
        tty.setraw(stdin, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(stdin, termios.TCSADRAIN, before)
