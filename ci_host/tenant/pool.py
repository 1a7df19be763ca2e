"""What is made ready before anybody asks: blanks, and instances that have their code already.

Each is used once and never comes back. It went through the same steps as one that is made on
demand, so their traces are equal.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from threading import Lock

from ci_host.tenant.guest import Guest, GuestImage, Refused, Trapped
from ci_host.tenant.sandbox import SandboxStarved


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


class Primed:
    """Instances with the code of the newest loads in them: one for each of at most `size` codes.

    Code that looks at the clock while it is imported is none of these: it must see its Run's time.
    (Dice do not differ before `start`.) Safe to use from many threads.
    """

    def __init__(self, image: GuestImage, size: int) -> None:
        assert size >= 0
        self._image = image
        self._size = size
        self._lock = Lock()
        # By the argument of `load`, the newest last; None where none waits.
        self._codes: OrderedDict[str, Guest | None] = OrderedDict()
        self._priming: set[str] = set()

    def take(self, code: str) -> Guest | None:
        """An instance with this code, if one waits."""
        with self._lock:
            guest = self._codes.get(code)
            if guest is not None:
                self._codes[code] = None
                self._codes.move_to_end(code)
            return guest

    def want(self, code: str) -> None:
        """This code was loaded, and nothing was seen that differs from Run to Run: likely again."""
        with self._lock:
            self._codes.setdefault(code, None)
            self._codes.move_to_end(code)
            old = [self._codes.popitem(last=False)[1] for _ in range(len(self._codes) - self._size)]
        _close_all(old)

    def prime(self, seconds: float) -> bool:
        """Load the newest code that none waits for; whether there was one. It may use `seconds`."""
        with self._lock:
            missing = [
                code
                for code, guest in self._codes.items()
                if guest is None and code not in self._priming
            ]
            if not missing:
                return False
            code = missing[-1]
            self._priming.add(code)
        guest = None
        try:
            guest = self._loaded(code, seconds)
        finally:
            with self._lock:
                self._priming.discard(code)
                if guest is None:
                    self._codes.pop(code, None)
                elif code in self._codes:
                    self._codes[code], guest = guest, None
        _close_all([guest])
        return True

    def _loaded(self, code: str, seconds: float) -> Guest | None:
        """None where it cannot be: whoever asks for that code finds out why."""
        guest = self._image.boot()
        try:
            guest.call("load", code, now=0.0, seconds=seconds)
            if not guest.has_seen_clock:
                return guest
        except (Refused, Trapped, SandboxStarved):
            pass
        except BaseException:
            guest.close()
            raise
        guest.close()
        return None

    def close(self) -> None:
        """Close what waits, and keep nothing from now on."""
        with self._lock:
            self._size = 0
            waiting = list(self._codes.values())
            self._codes.clear()
        _close_all(waiting)


def _close_all(guests: Iterable[Guest | None]) -> None:
    for guest in guests:
        if guest is not None:
            guest.close()
