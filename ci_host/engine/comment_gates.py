"""CommentGates: gates that somebody opens with a comment on a pull request.

Which gate is meant is said by a name, or not at all, and never by a commit alone: so it must have
waited when the comment was written, or be named together with the commit. Whether the person may
open it is decided as for everybody (`people.py`), under the name that whoever logs in at that Forge
has here; that they may write to the repository at all was asked before.
"""

from dataclasses import dataclass

from staunch.causes import is_among

from ci_host.access import Token
from ci_host.engine.people import Answer, People, PersonRefused
from ci_host.ports import HistoryStore
from pipelines.commands import GateTerms, StepKind
from pipelines.events import GateAnswered
from pipelines.ids import RunId
from pipelines.repo import Repo
from pipelines.status import context_of
from webhooks.forge import Command


@dataclass(frozen=True, slots=True)
class WaitingGate:
    """A Gate that waits now; `context`: what its status on the commit is called."""

    run: RunId
    key: str
    context: str
    terms: GateTerms

    def is_called(self, name: str) -> bool:
        """Whether somebody may mean it by this name, which has no blanks around it."""
        return name in (self.key.strip(" "), self.context.strip(" "))


class CommentGates:
    """Over the Histories. `base_url`: where people find the pages of Runs."""

    def __init__(self, history: HistoryStore, people: People, base_url: str) -> None:
        self._history, self._people, self._base_url = history, people, base_url

    async def meant(self, runs: list[RunId], command: Command, commit: str) -> WaitingGate:
        """The one Gate of these Runs that the comment is about. Raises PersonRefused."""
        waiting = [gate for run in runs for gate in await self._waiting(run)]
        named = [gate for gate in waiting if gate.is_called(command.gate)]
        found = named if command.gate else waiting
        there = ", ".join(gate.context for gate in waiting)
        if not waiting:
            raise PersonRefused(409, f"no gate of commit {commit} waits for an answer")
        if not found:
            raise PersonRefused(409, f"no gate {command.gate!r} waits; these do: {there}")
        if len(found) > 1:
            which = ", ".join(gate.context for gate in found)
            raise PersonRefused(
                409, f"{len(found)} gates wait, {which}: write which, or open it on its run's page"
            )
        (gate,) = found
        if gate.terms.inputs:
            page = f"{self._base_url}/runs/{gate.run}"
            raise PersonRefused(
                409,
                f"gate {gate.key!r} asks for {', '.join(gate.terms.inputs)}, which no comment can"
                f" give; answer it at {page}",
            )
        await self._check_was_there(gate, command, commit)
        return gate

    async def open(self, repo: Repo, run: RunId, key: str, command: Command) -> str:
        """Approve it, once; what was done, in words. Raises PersonRefused: not theirs to open."""
        name = f"{command.login}@{repo.connection}"
        said = f"{name} approved gate {key!r} of run {run}"
        if await self._is_answered(run, key, name):
            return said
        last = await self._history.last_turn(run)
        gates = [] if last is None else last.turn.open.gates
        barred = next((gate.terms.barred for gate in gates if gate.key == key), [])
        # Where a login is an id, what the Run was caused by has the name that people see.
        if command.person and is_among(command.person, barred):
            raise PersonRefused(
                403,
                f"{command.person} may not answer gate {key!r}: somebody else must, because this"
                f" run was caused by {', '.join(barred)}",
            )
        who = Token(digest="", name=name, connection=repo.connection, login=command.login)
        await self._people.answer_gate(run, key, who, Answer(approved=True, inputs={}))
        return said

    async def _waiting(self, run: RunId) -> list[WaitingGate]:
        started, last = await self._history.started(run), await self._history.last_turn(run)
        if started is None or last is None:
            return []
        context = context_of(started.event, started.pipeline)
        return [
            WaitingGate(run, gate.key, f"{context}/{gate.key}", gate.terms)
            for gate in last.turn.open.gates
        ]

    async def _check_was_there(self, gate: WaitingGate, command: Command, commit: str) -> None:
        """Raises PersonRefused where somebody may have read of another gate, or commit."""
        if command.gate and command.commit:
            return
        exact = f"`/staunch approve {gate.key} {commit}`"
        if not command.at:
            raise PersonRefused(
                409, f"the forge does not say when the comment was written; write {exact}"
            )
        stored = await self._history.read(gate.run)
        opened = [
            one.turn.now
            for one in stored.turns
            if any(c.kind is StepKind.GATE and c.key == gate.key for c in one.turn.commands)
        ]
        if not opened or opened[-1] > command.at:
            raise PersonRefused(
                409,
                f"gate {gate.key!r} was not open yet when the comment was written; look at what it"
                f" is about, and write {exact}",
            )

    async def _is_answered(self, run: RunId, key: str, name: str) -> bool:
        """Whether this person has approved it: the host had died before it had said so."""
        inputs = [stored.input for stored in await self._history.inputs_after(run, 0)]
        answers = [one for one in inputs if isinstance(one, GateAnswered)]
        return any((one.key, one.by, one.approved) == (key, name, True) for one in answers)
