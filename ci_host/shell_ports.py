"""Shell ports: what is needed of the world for terminals in jobs. Contracts, as in `ports`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

from pipelines.ids import JobId, RunId
from pipelines.shell import Session, ShellAsked, Standby


@dataclass(frozen=True, slots=True)
class Terminals:
    """What is known of the terminals of a Run's Jobs: who waits for one, and who had one."""

    standing_by: dict[str, Standby] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)


class ShellStore(Protocol):
    """Records of terminals, for 90 days. Any method may raise Unavailable."""

    async def standing_by(self, job: JobId) -> Standby | None:
        """What the Runner that holds the Attempt said of its wait; None: nothing.

        It may be over. What any other Runner says of it is not believed.
        """

    async def keep(self, session: Session) -> None:
        """Durable when this returns; replaces what was kept of that Session."""

    async def of_run(self, run: RunId) -> Terminals:
        """All of a Run's Jobs; Sessions in the order in which they began."""


class ShellChannel(Protocol):
    """An open terminal, as frames of `pipelines.shell`; stored nowhere."""

    def frames(self) -> AsyncIterator[bytes]:
        """What comes from the Runner, in order, for ever."""

    async def send(self, frame: bytes) -> None:
        """A frame for the Runner. Raises Unavailable."""

    async def close(self) -> None:
        """Hear no more. May be repeated; never raises."""


class ShellLines(Protocol):
    """The way to Runners that hold a Job which waits."""

    async def dial(self, runner: str, asked: ShellAsked) -> ShellChannel:
        """Ask that Runner. Raises NoTerminal with the Runner's reason, or Unavailable."""


class NoTerminal(Exception):
    """The Runner gives none; the message says why."""
