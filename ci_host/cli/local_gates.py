"""Local gates: how `staunch run` opens a gate, or says how to.

Whoever it asks is alone on the machine and stands for everybody: an answer is given in the name of
as many approvers as the gate needs, with a key that is made for each.
"""

import select
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import quote

import typer
from rich.console import Console

from ci_host.cli.client import Client, ClientError, run_path
from ci_host.cli.pasted import pasted, with_inputs
from ci_host.cli.plain import escape, plain
from ci_host.cli.waits import inputs_asked
from ci_host.cli.writing import parsed_inputs

NOT_AS_ASKED = 422
LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class LocalGates:
    """`is_yes`: open each without asking. Else people are asked where there is a terminal; `look`
    is called while they think, and what it raises ends the question."""

    client: Client
    console: Console
    is_yes: bool
    look: Callable[[], None]

    def meet(self, run: str, gate: dict[str, Any]) -> None:
        """A run waits at this gate: have it answered, or say how that is done."""
        if self.is_yes and not _must_enter(gate):
            self._answer(run, gate, {"approved": True})
        elif self.is_yes or not sys.stdin.isatty():
            self._say_how(run, gate)
        else:
            self._ask(run, gate)

    def _ask(self, run: str, gate: dict[str, Any]) -> None:
        said = f"{plain(gate['message'])}\n" if gate["message"] else ""
        question = f"{said}open gate {plain(gate['key'], '')}? (no rejects it)"
        typer.echo(f"{question} [y/N]: ", nl=False, err=True)
        self._wait_line()
        if not typer.confirm("", default=False, prompt_suffix="", show_default=False, err=True):
            self._answer(run, gate, {"approved": False})
            return
        while not self._answer(run, gate, {"approved": True, "inputs": self._entered(gate)}):
            pass

    def _entered(self, gate: dict[str, Any]) -> dict[str, Any]:
        """What is typed for each input; one with a default may be left out."""
        values: dict[str, Any] = {}
        for (name, kind), asked in zip(gate["inputs"].items(), inputs_asked(gate), strict=True):
            default = None if _is_required(gate, name) else ""
            typer.echo(f"  {plain(asked, '')} > ", nl=False, err=True)
            self._wait_line()
            text = typer.prompt("", default=default, show_default=False, prompt_suffix="", err=True)
            if text or default is None:
                values |= {name: text} if kind == "str" else parsed_inputs([f"{name}={text}"])
        return values

    def _wait_line(self) -> None:
        """Until something was typed, to its Enter. Raises what `look` raises."""
        try:
            while not select.select([sys.stdin], [], [], LOOK_S)[0]:
                self.look()
        except BaseException:
            # What comes next stands in a line of its own.
            typer.echo(err=True)
            raise

    def _answer(self, run: str, gate: dict[str, Any], body: dict[str, Any]) -> bool:
        """False: the inputs are not as asked. What else is refused, a timeout has overtaken."""
        path = f"{run_path(run)}/gates/{quote(gate['key'], errors='replace')}"
        needed = gate["needed"] - len(gate["approved_by"]) if body["approved"] else 1
        for person in self._people(gate, needed):
            try:
                by = person.post(path, body)["by"]
            except ClientError as error:
                self.console.print(f"[yellow]{escape(str(error))}[/]", highlight=False)
                return error.status != NOT_AS_ASKED
            said = "opened" if body["approved"] else "rejected"
            self.console.print(f"gate {escape(gate['key'])} {said} as {escape(by)}")
        return True

    def _people(self, gate: dict[str, Any], count: int) -> Iterator[Client]:
        """Those who may answer, with a key for each."""
        teams = [name[1:] for name in gate["approvers"] if name.startswith("@")]
        for name in islice(_names(gate), count):
            made = self.client.post("/tokens", {"name": name, "teams": teams})
            yield Client(self.client.url, made["secret"])

    def _say_how(self, run: str, gate: dict[str, Any]) -> None:
        self.console.print(f"[yellow]waiting at gate {escape(gate['key'])}; open it with[/]")
        told = pasted("approve", run, gate["key"]) + with_inputs(gate["inputs"])
        for person in self._people(gate, gate["needed"] - len(gate["approved_by"])):
            whom = f"--server {person.url} --token {person.token}"
            self.console.print(f"  {escape(told)} {whom}", highlight=False, soft_wrap=True)
        for asked in inputs_asked(gate):
            self.console.print(f"  [dim]{escape(asked)}[/]", highlight=False, soft_wrap=True)


def _names(gate: dict[str, Any]) -> Iterator[str]:
    """People who may answer and have not; somebody of a team is called after nobody there is."""
    taken = {name.lower() for name in [*gate["barred"], *gate["approved_by"]]}
    named = [name for name in gate["approvers"] if not name.startswith("@")]
    yield from (name for name in named if name.lower() not in taken)
    if not gate["approvers"] or len(named) < len(gate["approvers"]):
        count = gate["needed"] + len(taken) + 1
        guests = (f"local-{number}" for number in range(1, count + 1))
        yield from (name for name in guests if name not in taken)


def _must_enter(gate: dict[str, Any]) -> list[str]:
    return [name for name in gate["inputs"] if _is_required(gate, name)]


def _is_required(gate: dict[str, Any], name: str) -> bool:
    return bool(gate["rules"].get(name, {}).get("required", True))
