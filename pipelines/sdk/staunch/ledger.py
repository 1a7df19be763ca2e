"""The Ledger port: what a Step asks of the driver that moves the plan (pipelines/guest).

Not for pipeline authors. Commands, results and failures are dicts in their wire form
(`pipelines/commands.py`), because nothing of the host may be imported in the sandbox.
"""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, NamedTuple, Protocol

from staunch.undo import Undo
from staunch.usage import Usage


class Site(NamedTuple):
    """Where in the pipeline a step was asked for."""

    file: str
    line: int


class Ledger(Protocol):
    """One Run's books, as the verbs see them."""

    seed: str

    @property
    def pipelines(self) -> dict[str, str]:
        """The pipelines of this Bundle: the file of each, by name."""
        ...

    @property
    def pipeline(self) -> str:
        """The name of this one."""
        ...

    def is_in_main(self) -> bool:
        """Whether it is the plan's `run()` that is running, and no task beside or after it."""
        ...

    def asks(self, pipeline: str) -> dict[str, Any] | None:
        """The InputTerms that this pipeline declares, or None."""
        ...

    @property
    def causes(self) -> list[str]:
        """The names of those whose act began this Run."""
        ...

    @property
    def depth(self) -> int:
        """How many Runs are above this one."""
        ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The plan's loop; its time is the Run's."""
        ...

    @property
    def usage(self) -> Usage:
        """How much of its limits the Run has used so far."""
        ...

    def key(self, path: str) -> str:
        """The key of the next step at this path: the path, and from the second on `#n`."""
        ...

    def given(self, verb: str, key: str, site: Site, step: Coroutine[Any, Any, Any]) -> None:
        """This step was handed to the plan; by the Run's end it must have been awaited."""
        ...

    def ask(self, kind: str, key: str, options: dict[str, Any], **parts: Any) -> None:
        """Record a command; `options` is what its fingerprint is made of."""
        ...

    def recalled(self, kind: str, key: str, options: dict[str, Any]) -> dict[str, Any] | None:
        """What an earlier attempt of this Run found out by asking exactly this, or what is
        supposed of a step that is not to be done; or None.

        If there is something, command and result are recorded, and there is nothing to do.
        """
        ...

    def settle(self, kind: str, key: str, state: str, **parts: Any) -> None:
        """Record a result."""
        ...

    def recall(self, key: str, attempt: int) -> dict[str, Any] | None:
        """On replay: the recorded result of this `do` attempt, if it settled in this Turn."""
        ...

    def stand_in(self, key: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """What this `do` step calls: its function, but for a test of the author's."""
        ...

    def plain(self, key: str, value: Any) -> Any:
        """The value as it will come back from the History. Raises TypeError or ValueError."""
        ...

    def failure(self, error: BaseException, key: str) -> dict[str, Any]:
        """The exception as a Failure."""
        ...

    def say(self, note: dict[str, Any]) -> None:
        """What people are shown of the Run from now on."""
        ...

    def dice(self, purpose: str) -> Random:
        """A random stream that only this purpose uses."""
        ...

    def open_job(self, key: str, attempt: int) -> "asyncio.Future[dict[str, Any]]":
        """Want an Attempt; the future becomes its report."""
        ...

    def drop_job(self, key: str, late: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Want its end; it stays open until it has reported, then `late` is told the report."""
        ...

    async def wait_cancelled_gone(self) -> None:
        """Until every Job and child Run whose end is wanted has ended."""
        ...

    def owe(self, undo: Undo) -> None:
        """A step has succeeded, and this undoes it."""
        ...

    def next_undo(self) -> Undo | None:
        """The newest that is owed, and no longer is. From the first one on, no more are taken."""
        ...

    def open_gate(self, key: str, terms: dict[str, Any]) -> "asyncio.Future[dict[str, Any]]":
        """Want answers; the future becomes the decision."""
        ...

    def close_gate(self, key: str) -> None:
        """Nobody waits for this gate any more."""
        ...

    def open_pause(self, key: str, attempt: int, due: float) -> "asyncio.Future[None]":
        """This attempt begins when due; the future is done if somebody wants it before."""
        ...

    def close_pause(self, key: str) -> None:
        """Nothing pauses there any more."""
        ...

    def open_wait(
        self, key: str, names: list[str], match: dict[str, Any] | None, due: float | None
    ) -> "asyncio.Future[dict[str, Any]]":
        """Want one of these signals, `{"name", "payload"}`; done already if one came before."""
        ...

    def child(self, key: str) -> str:
        """The id of the Run that a call begins."""
        ...

    def open_call(self, key: str, *, detached: bool = False) -> "asyncio.Future[dict[str, Any]]":
        """Want a child Run; the future becomes its end (never, if it is detached)."""
        ...

    def drop_call(self, key: str) -> None:
        """Want its end; it stays open until it has ended."""
        ...

    def close_wait(self, key: str, unused: "asyncio.Future[dict[str, Any]] | None") -> None:
        """Nobody waits for this any more; `unused`: its signal, if there is one, is given back."""
        ...
