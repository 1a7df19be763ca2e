"""Script: what a test prepared: how jobs end, what people answer, what functions give.

Names are keys of steps, or globs of them (`test-*`, `eu/*`); an exact name goes before a glob. What
is prepared several times for one name is for its attempts, in that order; the last stands for all
further ones.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Generic, TypeVar

from staunch.attempt import CURRENT
from staunch.ledger import Site
from staunch.work import is_async_function

from pipelines.failure import Failure
from pipelines.job import Outcome
from pipelines.run import RunState

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How one Attempt ends, `seconds` after it was asked for."""

    outcome: Outcome = Outcome.SUCCEEDED
    exit_code: int | None = None
    message: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class GateReply:
    """Who answers a gate, and what, `seconds` after it was asked. Nobody `by`: it times out."""

    by: tuple[str, ...]
    approved: bool = True
    inputs: Mapping[str, Any] = field(default_factory=dict)
    comment: str = ""
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How a called pipeline ends."""

    state: RunState = RunState.SUCCEEDED
    output: Any = None
    error: Failure | None = None
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Sent:
    """A signal, `seconds` after somebody waits for it."""

    name: str
    payload: Any = None
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Given:
    """What a function of `step.do` returns or raises."""

    value: Any = None
    error: BaseException | None = None


class Prepared(Generic[T]):
    """What is prepared for one kind of step, and what of it was used."""

    def __init__(self) -> None:
        self.by_name: dict[str, list[T]] = {}
        self.used: set[str] = set()

    def add(self, name: str, what: T) -> None:
        """For the next attempt of the steps of this name."""
        self.by_name.setdefault(name, []).append(what)

    def of(self, key: str, attempt: int = 1) -> T | None:
        """For this attempt of the step with this key."""
        globs = [glob for glob in self.by_name if fnmatchcase(key, glob)]
        name = key if key in self.by_name else next(iter(globs), None)
        if name is None:
            return None
        self.used.add(name)
        found = self.by_name[name]
        return found[min(attempt, len(found)) - 1]

    def unused(self) -> list[str]:
        """The names that fitted nothing."""
        return [name for name in self.by_name if name not in self.used]


class Script:
    """All of it. See `pipelines.guest.rehearsal.Rehearsal` for its part inside of the guest."""

    def __init__(self) -> None:
        self.jobs: Prepared[JobEnd] = Prepared()
        self.gates: Prepared[GateReply] = Prepared()
        self.calls: Prepared[CallEnd] = Prepared()
        self.functions: Prepared[Given] = Prepared()
        self.cancels: Prepared[str] = Prepared()
        self.signals: list[Sent] = []
        # Which of them a step waited for, by their place.
        self.sent: set[int] = set()
        # Names of steps that fail, whichever kind they are of.
        self.forced: set[str] = set()
        self.sites: dict[str, Site] = {}

    def begin(self) -> None:
        """A further Run: nothing is used yet."""
        for prepared in self._all().values():
            prepared.used.clear()
        self.sent.clear()
        self.sites = {}

    def given(self, key: str, site: Site) -> None:
        """Where each step is asked for."""
        self.sites[key] = site

    def stand_in(self, key: str, fn: Callable[..., Any]) -> Callable[..., Any]:
        """What the test prepared in place of the function."""
        if self.functions.of(key) is None:
            return fn

        def prepared(*_: Any) -> Any:
            attempt = CURRENT.get()
            given = self.functions.of(key, attempt.number if attempt else 1)
            assert given is not None, "there is one for this key"
            if given.error is not None:
                raise given.error.with_traceback(None)
            return given.value

        async def prepared_async(*_: Any) -> Any:
            return prepared()

        return prepared_async if is_async_function(fn) else prepared

    def unused(self) -> list[str]:
        """What fitted nothing, in words."""
        used = {name for one in self._all().values() for name in one.used} & self.forced
        found = [
            f"{kind} {name!r}"
            for kind, one in self._all().items()
            for name in one.unused()
            if name not in used
        ]
        return found + list(self._unsent())

    def _unsent(self) -> Iterator[str]:
        """Signals that no step waited for; each is one of its own, also of those with one name."""
        seen: Counter[str] = Counter()
        for number, signal in enumerate(self.signals):
            seen[signal.name] += 1
            if number not in self.sent:
                which = f" #{seen[signal.name]}" if seen[signal.name] > 1 else ""
                yield f"signal {signal.name!r}{which}"

    def _all(self) -> "dict[str, Prepared[Any]]":
        return {
            "job": self.jobs,
            "gate": self.gates,
            "call": self.calls,
            "do": self.functions,
            "cancel during": self.cancels,
        }


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint at the name that was meant, or nothing."""
    found = difflib.get_close_matches(name, list(names), 1)
    return f" (did you mean {found[0]!r}?)" if found else ""
