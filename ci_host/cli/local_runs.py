"""Local runs: what `staunch run` has an installation of its own do with a working tree."""

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from ci_host.cli.client import Client, ClientError
from ci_host.cli.following import Follower
from ci_host.cli.local_gates import LocalGates
from ci_host.cli.local_host import LocalHost
from ci_host.cli.local_opening import CONNECTION, opening_of, repo_body
from ci_host.cli.pasted import word
from ci_host.cli.plain import escape
from ci_host.cli.tree_watch import TreeWatch
from ci_host.cli.working_tree import Snapshot, snapshot
from ci_host.opening import give

PIPELINE_DEFAULT = "pipeline"
BUSY = 503


class Superseded(Exception):
    """The files are others by now: what runs is cancelled."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked for. `event` empty: a start by hand. `secrets`: name to value.

    `only` empty: each step is done. `values`: what those hand over that are not.
    """

    event: str
    pipeline: str
    inputs: dict[str, Any]
    wait_s: float
    secrets: dict[str, str]
    is_yes: bool
    only: tuple[str, ...] = ()
    values: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class LocalRuns:
    """`files`: says when to look whether the working tree has changed; None: it does not matter."""

    host: LocalHost
    console: Console
    asked: Asked
    top: Path
    bare: Path
    files: TreeWatch | None = None
    _taken: Snapshot | None = field(default=None, init=False)
    _next: Snapshot | None = field(default=None, init=False)

    def start(self) -> list[str]:
        """Begin what is asked for of the files as they are now; answers the runs.

        The installation comes up meanwhile. Raises ClientError, Superseded.
        """
        began = time.monotonic()
        is_first = self._taken is None
        taken, self._next = self._next or snapshot(self.top, self.bare, apart=self._apart()), None
        self._taken = taken
        self.console.print(_what(taken), highlight=False)
        body = self._body(taken)
        if is_first and not self.asked.secrets:
            self._give_opening(body, taken)
        self.host.ready()
        repo = self._registered(taken)
        if is_first:
            took = time.monotonic() - began
            self.console.print(f"[dim]started in {took:.1f} s[/]", highlight=False)
            for name, value in self.asked.secrets.items():
                self.host.client.put("/secrets", {"name": name, "repo": repo, "value": value})
        answer = self._begun(body | {"repo": repo})
        for said in filter(None, answer["told"].split("; ")):
            self.console.print(f"[yellow]{escape(said)}[/]", highlight=False)
        for id_ in answer["runs"]:
            self.console.print(f"run [bold]{id_}[/]", highlight=False)
        return [str(id_) for id_ in answer["runs"]]

    def to_end(self, runs: list[str]) -> list[dict[str, Any]]:
        """Follow them, and tell. Raises ClientError, and Superseded once they are cancelled."""
        client = self.host.client
        gates = LocalGates(client, self.console, self.asked.is_yes, self.look)
        where = f"--data {word(str(self.host.wish.data))}"
        follower = Follower(client, self.console, where, gates.meet, self.look, "staunch run")
        try:
            return follower.all_to_end(runs)
        except Superseded:
            for run in runs:
                self._cancel(client, run)
            raise

    def look(self, patience_s: float = 0.0) -> None:
        """Raises ClientError: the installation has ended. Raises Superseded: other files."""
        self.host.check_alive()
        if self.files is None or not self.files.wait_change(patience_s):
            return
        try:
            # A commit of its own each time: a push of one that was there before is that run.
            found = snapshot(self.top, self.bare, apart=secrets.token_hex(4))
        except ClientError as error:
            self.console.print(f"[yellow]{escape(str(error))}[/]", highlight=False)
            return
        if self._taken is None or found.tree != self._taken.tree:
            self._next = found
            raise Superseded

    def _apart(self) -> str:
        """With data that was used before, an event may have been told of this very commit."""
        return secrets.token_hex(4) if self.asked.event and self.bare.exists() else ""

    def _cancel(self, client: Client, run: str) -> None:
        try:
            client.post(f"/runs/{run}/cancel", {"reason": "the files have changed"})
        except ClientError as error:
            # It was over a moment before.
            self.console.print(f"[dim]{escape(str(error))}[/]", highlight=False)

    def _body(self, taken: Snapshot) -> dict[str, Any]:
        asked = self.asked
        body = {
            "commit": taken.commit,
            "ref": taken.ref,
            "key": secrets.token_hex(8),
            "pipeline": asked.pipeline or PIPELINE_DEFAULT,
            "inputs": asked.inputs,
            "wait_s": asked.wait_s,
        }
        if asked.only:
            body["supposed"] = {"only": asked.only, "values": asked.values}
        return body | self._as_event(taken) if asked.event else body

    def _as_event(self, taken: Snapshot) -> dict[str, Any]:
        # Only here: a start by hand need not know what an event is.
        import msgspec

        from ci_host.cli.local_events import checkout_of, event_of, lay

        here = checkout_of(self.top)
        event = event_of(self.asked.event, taken, here)
        lay(event, taken, here)
        if event.commit != taken.commit:
            self.console.print(
                f"[yellow]the event is of {event.commit[:10]}, which runs as it was committed[/]",
                highlight=False,
            )
        pipeline = self.asked.pipeline
        if event.kind == "manual":
            pipeline = pipeline or PIPELINE_DEFAULT
        return {
            "commit": event.commit,
            "ref": event.ref,
            "pipeline": pipeline,
            "event": msgspec.to_builtins(event),
        }

    def _give_opening(self, body: dict[str, Any], taken: Snapshot) -> None:
        opening = opening_of(body, taken, time.time())
        if opening is not None:
            give(self.host.opening, opening)

    def _registered(self, taken: Snapshot) -> str:
        client = self.host.client
        client.put("/connections", {"id": CONNECTION, "kind": "git"})
        return str(client.put("/repos", repo_body(taken))["id"])

    def _begun(self, body: dict[str, Any]) -> dict[str, Any]:
        """What began. One whose commit takes long to fetch is asked for again, by the same key."""
        while True:
            self.host.check_alive()
            try:
                answer: dict[str, Any] = self.host.client.post("/runs", body)
            except ClientError as error:
                if error.status != BUSY:
                    raise
                self.console.print("[yellow]its commit is still being fetched[/]")
                continue
            return answer


def _what(taken: Snapshot) -> str:
    at = f" at {escape(taken.ref.removeprefix('refs/heads/'))}" if taken.ref else ""
    if taken.changed is None:
        differs = "nothing committed yet"
    elif taken.changed:
        differs = f"{taken.changed} changed file{'s' if taken.changed > 1 else ''} not committed"
    else:
        differs = "as committed"
    return f"[bold]{escape(taken.top.name)}[/]{at}, {differs}: {taken.commit[:10]}"
