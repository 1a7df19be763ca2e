"""The Sandbox port: how the engine gets a Bundle compiled, and a Run's plan loaded and moved.

Everything here is synchronous and may take milliseconds to seconds: call it in a sandbox thread
(`limits.STACK_BYTES` of stack), never on an event loop. A Sandbox may be used from many threads; a
Tenant by one thread at a time. Who implements it: `host.TenantHost`, over wasm or in-process.
"""

from dataclasses import dataclass, field
from typing import Protocol

from pipelines.bundle import Bundle, Prepared
from pipelines.commands import Result
from pipelines.events import Input
from pipelines.failure import Failure
from pipelines.turn import TurnOutcome


@dataclass(frozen=True, slots=True)
class TimedInput:
    """One input as the History holds it: its stream sequence, and the stream's time for it."""

    seq: int
    at: float
    body: Input


@dataclass(frozen=True, slots=True)
class TurnInputs:
    """What one Turn is made from. `memo` is None for a new Turn, else the recorded results.

    `history_bytes`: the Usage of the Turn before, as it is recorded.
    """

    inputs: list[TimedInput]
    memo: list[Result] | None = field(default=None)
    history_bytes: int = 0


class TenantFailed(Exception):
    """The pipeline's own mistake: a limit, a crash of its sandbox, a file that cannot be loaded.

    Trying again gives the same; the Run is to be failed with `failure`. The Tenant is gone.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(": ".join(part for part in (failure.where(), failure.message) if part))
        self.failure = failure


class SandboxStarved(Exception):
    """The host was too busy: the time was over before the Tenant could use it.

    Nobody's mistake, as far as one can tell: drop the Tenant, load it again later, and alone. One
    that is starved every time is to be failed like any that takes too long. The Tenant is gone.
    """


class Tenant(Protocol):
    """One Run's plan in a sandbox of its own. Used by one thread at a time."""

    def advance(self, turns: list[TurnInputs]) -> list[TurnOutcome]:
        """Make these Turns, in order; one outcome for each.

        Replay passes all recorded Turns, each with its memo, in one call. A plan that raises is no
        error here: the outcome's `end` says `failed`. Raises TenantFailed or SandboxStarved, after
        which only `close` may be called.
        """
        ...

    def close(self) -> None:
        """Give the memory back. May be called twice."""
        ...


class Sandbox(Protocol):
    """Where Tenants live. `image_digest` and `boot` belong into the first Turn's Pins."""

    @property
    def image_digest(self) -> str:
        """The digest of the guest image that `prepare` and `load` use."""
        ...

    @property
    def boot(self) -> str:
        """The kind of boot: it is a part of the trace, so a Run stays with one."""
        ...

    def prepare(self, bundle: Bundle) -> Prepared:
        """Compile a Bundle, and find out which pipelines it offers; do it once and keep the answer.

        A file that cannot be compiled or imported is an entry with `error`. Raises TenantFailed
        where importing breaks a limit.
        """
        ...

    def load(self, prepared: Prepared, file: str, *, run: str, seed: str, at: float) -> Tenant:
        """A fresh Tenant for the pipeline in `file`, that has seen no input yet.

        `seed` and `at` (when the Run was created) must be the same for every load of a Run.
        Raises TenantFailed where the file cannot be imported or has no `run`.
        """
        ...

    def refill(self) -> None:
        """Boot one instance in advance if the pool is not full. For when there is nothing to do."""
        ...

    def close(self) -> None:
        """Close what waits in the pool. Tenants in use are closed by their owners."""
        ...


class WrongImage(Exception):
    """A Run is pinned to a guest image that is not here any more."""


class Sandboxes(Protocol):
    """The guest images that this process can load: today's, and those that older Runs began on."""

    @property
    def current(self) -> Sandbox:
        """What new Runs begin on."""
        ...

    def of_image(self, image: str) -> Sandbox:
        """The sandbox of an older image. Raises WrongImage where its file is gone."""
        ...
