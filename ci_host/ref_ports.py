"""Ports of the reconciler: where refs are now, how they were last seen, what was told of them.

Branches and tags git lists; pull requests, whose heads are refs too, a forge's API alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from pipelines.event import Event
from pipelines.repo import Connection, Repo
from webhooks.forge import Changed, Later, Refused


@dataclass(frozen=True, slots=True)
class SeenRef:
    """Where a ref leads. `commit` is what an annotated tag peels to, `object` the tag itself; of
    everything else both are the same."""

    commit: str
    object: str


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """A Repo's refs (full name to commit) as they were when what is new in them was seen to.

    `at`: when the look at them began, in seconds since the epoch, by the clock of the one who
    looked. `pulls`: whether the heads of pull requests are among them. `untold`: of what was new
    then no Delivery told.
    """

    repo: str
    at: float
    refs: dict[str, str]
    pulls: bool = False
    untold: bool = False


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """The newest that a Delivery told of a ref: its commit, empty: that it is gone."""

    repo: str
    ref: str
    commit: str
    at: float


class NotCompared(msgspec.Struct, frozen=True, kw_only=True):
    """Why a Repo's refs are not compared; `repo` empty: those of a whole Connection. `pulls`: only
    its open pull requests are not."""

    connection: str
    repo: str = ""
    reason: str
    since: float
    pulls: bool = False

    @property
    def subject(self) -> str:
        """What is not compared: the Repo, or the Connection. A Repo's id has a slash in it."""
        return pulls_of(self.repo) if self.pulls else self.repo or self.connection


def pulls_of(repo: str) -> str:
    """The subject of a NotCompared that is about a Repo's pull requests."""
    return f"{repo}#pulls"


class RefSource(Protocol):
    """Refs, asked of the repositories themselves. Blocking: call it in a thread; many may."""

    def refs(self, repo: Repo) -> Mapping[str, SeenRef]:
        """Every branch and tag there is now, by its full name.

        Names that git would not take are left out. Raises SourceUnavailable (it may work later) and
        SourceRefused (it will not; also where there are more refs than are compared).
        """


class PullSource(Protocol):
    """Open pull requests, asked of Forges."""

    async def open_pulls(self, repo: Repo) -> Sequence[Event] | Later | Refused | None:
        """Those that are open now (of very many, those that changed last), as events without an
        action; None: the Connection has no API that could be asked, or no token for it."""


class ChangeSource(Protocol):
    """Which Repos changed lately, asked of the Forges that have a list of it."""

    def place(self, repo: Repo) -> str:
        """Which list a Repo would be in; empty: its Forge has none, or cannot be asked."""

    async def changed(
        self, repo: Repo, since: float, *, whole: bool
    ) -> Changed | Later | Refused | None:
        """What that list has that changed since then, in seconds since the epoch by the Forge's
        clock; `whole`: all that is in it. None: there is none. Never raises for what a forge does.

        A saving: a Repo that it leaves out is looked at nevertheless, only more rarely.
        """


class CallSource(Protocol):
    """Webhook calls that a forge made, asked of the forge."""

    async def ask_again(
        self, connection: Connection, repo: Repo | None, since: float
    ) -> Sequence[str] | Later | Refused | None:
        """Have all sent again that never arrived, of those since then (seconds since the epoch).

        `repo`: those of its webhook; None: those of the Connection's App. Answers the ids of their
        Deliveries; None: the forge has no API for it, or no token is there.
        """


class Sights(Protocol):
    """Sights by Repo, changed by compare-and-set, and what is not compared.

    Durable when a call returns. Any method may raise Unavailable.
    """

    async def read(self, repo: str) -> tuple[int, Sight | None]:
        """(revision, Sight); (0, None) where the Repo was never looked at."""

    async def write(self, sight: Sight, *, after: int) -> int:
        """Replace it if its revision still is `after`; answers the new one. Raises Conflict."""

    async def not_compared(self) -> list[NotCompared]:
        """All that are not compared now."""

    async def tell(self, what: NotCompared) -> None:
        """Its refs are not compared; replaces what was told of the same Repo or Connection."""

    async def take_back(self, subject: str) -> None:
        """They are compared again (see NotCompared.subject). No error if nobody said otherwise."""


class Hearsay(Protocol):
    """What Deliveries told of refs. A saving: what is lost of it makes a Delivery too many, of
    which no Run comes that would not be there."""

    async def tell(self, word: Word) -> None:
        """Keep it as the newest of its ref. Waits for nobody, and may be lost."""

    async def told(self, repo: str, refs: Sequence[str]) -> dict[str, Word]:
        """The newest of each of these refs of which something was told. Raises Unavailable."""
