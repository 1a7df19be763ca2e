"""Streams: server-sent events of a host, one after the other, through whatever ends a connection.

What the events are is their readers' to know.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from ci_host.cli.client import Client, ClientError

if TYPE_CHECKING:
    import httpx2

PAUSE_S_FIRST = 0.5
PAUSE_S_MAX = 5.0


def followed(client: Client, path: str, place: str) -> Iterator["httpx2.ServerSentEvent"]:
    """The events behind this place, each once, for ever: whoever reads knows the last.

    A host that is away, or a proxy without its host, is waited for, and said to be so once. Raises
    ClientError: it refuses.
    """
    pause, is_told = PAUSE_S_FIRST, False
    while True:
        try:
            with client.events(path, place) as events:
                pause, is_told = PAUSE_S_FIRST, False
                for event in events:
                    place = event.id or place
                    yield event
        except ClientError as error:
            if not error.is_away:
                raise
            if not is_told:
                typer.secho(f"staunch: {error} Waiting for it", fg="yellow", err=True)
            is_told = True
        time.sleep(pause)
        pause = min(pause * 2, PAUSE_S_MAX)
