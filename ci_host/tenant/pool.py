"""Blanks: booted instances that wait for a Run. A blank is used once and never comes back.

A blank and an instance booted on demand went through the same steps: their traces are equal.
"""

from collections import deque
from threading import Lock

from ci_host.tenant.guest import Guest, GuestImage


class Blanks:
    """At most `size` booted instances. Safe to use from many threads."""

    def __init__(self, image: GuestImage, size: int) -> None:
        assert size >= 0
        self._image = image
        self._size = size
        self._lock = Lock()
        self._waiting: deque[Guest] = deque()
        self._booting = 0
        self._closed = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def take(self) -> Guest:
        """A booted instance; boots one if none waits."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
        return self._image.boot()

    def refill(self) -> bool:
        """Boot one more if there is room; whether there was."""
        with self._lock:
            if self._closed or len(self._waiting) + self._booting >= self._size:
                return False
            self._booting += 1
        guest = None
        try:
            guest = self._image.boot()
        finally:
            with self._lock:
                self._booting -= 1
                if guest is not None and not self._closed:
                    self._waiting.append(guest)
                    guest = None
        if guest is not None:
            guest.close()
        return True

    def close(self) -> None:
        """Close what waits, and keep nothing from now on."""
        with self._lock:
            self._closed = True
            waiting = list(self._waiting)
            self._waiting.clear()
        for guest in waiting:
            guest.close()
