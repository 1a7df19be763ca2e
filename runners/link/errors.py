"""Errors of a connection, for the log: a server that is away is told of now and then.

The client tries to connect ten times a second, and reports every failure.
"""

import time
from collections.abc import Callable

AGAIN_S = 10.0


class Errors:
    """Of one connection."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._said: dict[str, float] = {}

    def news_of(self, error: Exception) -> str:
        """What to say of it, or nothing: the same was said a moment ago."""
        text = str(error) or type(error).__name__
        if self._now() - self._said.get(text, -AGAIN_S) < AGAIN_S:
            return ""
        self._said = {text: self._now()}
        return text
