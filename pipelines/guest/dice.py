"""Dice: every random number in the sandbox, from the Run's seed.

`install` turns the functions of `random`, `os.urandom` (so uuid4 and secrets) and unseeded
`random.Random()` over to the running code's stream: the plan's, or that of the `step.do` attempt it
is the body of. Returns what undoes it, which only the native tests need.
"""

import os
import random
from collections.abc import Callable
from typing import Any

from staunch.attempt import CURRENT

_FUNCTIONS = (
    "betavariate",
    "binomialvariate",
    "choice",
    "choices",
    "expovariate",
    "gammavariate",
    "gauss",
    "getrandbits",
    "getstate",
    "lognormvariate",
    "normalvariate",
    "paretovariate",
    "randbytes",
    "randint",
    "random",
    "randrange",
    "sample",
    "seed",
    "setstate",
    "shuffle",
    "triangular",
    "uniform",
    "vonmisesvariate",
    "weibullvariate",
)


class Dice:
    """The plan's own stream. Before `start` it has a fixed seed: loading is the same for all."""

    def __init__(self) -> None:
        self.stream = random.Random("staunch")  # noqa: S311

    def begin(self, seed: str) -> None:
        """Seed the plan's stream."""
        self.stream = random.Random(f"plan/{seed}")  # noqa: S311

    def current(self) -> random.Random:
        """The stream of the code that is running."""
        attempt = CURRENT.get()
        return self.stream if attempt is None else attempt.dice

    def install(self) -> Callable[[], None]:
        """Put them in place of the real ones."""
        places: list[tuple[Any, str, Any]] = [
            (random, name, self._turned(name)) for name in _FUNCTIONS if hasattr(random, name)
        ]
        seed = random.Random.seed

        def seeded(one: random.Random, a: Any = None, version: int = 2) -> None:
            seed(one, self.current().getrandbits(256) if a is None else a, version)

        def urandom(size: int, /) -> bytes:
            return self.current().randbytes(size)

        places += [
            (random.Random, "seed", seeded),
            (random, "_urandom", urandom),
            (os, "urandom", urandom),
        ]
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
        for owner, name, value in places:
            setattr(owner, name, value)

        def undo() -> None:
            for owner, name, value in before:
                setattr(owner, name, value)

        return undo

    def _turned(self, name: str) -> Callable[..., Any]:
        def function(*args: Any, **named: Any) -> Any:
            return getattr(self.current(), name)(*args, **named)

        function.__name__ = function.__qualname__ = name
        function.__doc__ = getattr(random, name).__doc__
        return function
