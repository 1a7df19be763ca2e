"""Signs of life: for how long each runner of the bus has been silent, as this one hears it.

Measured by this process's own clock, because those of two machines differ. A runner that hears not
even itself is deaf, and says of nobody that they are silent. No bus here.
"""

from collections.abc import Callable

HEARTBEAT_S = 5.0
# Two beats of one's own that did not come back: until the next one nothing can be said of others.
DEAF_AFTER_S = 2.4 * HEARTBEAT_S
FORGOTTEN_AFTER_S = 3600.0


class SignsOfLife:
    """Who was heard when. `clock`: seconds that only ever go forward."""

    def __init__(self, own: str, clock: Callable[[], float]) -> None:
        self._own = own
        self._clock = clock
        self._heard: dict[str, float] = {}
        self._listening_since = clock()

    def hear(self, runner: str) -> None:
        """A sign of life came."""
        if runner == self._own:
            if self.is_deaf:
                self._listening_since = self._clock()
            self._forget()
        self._heard[runner] = self._clock()

    def meet(self, runner: str) -> None:
        """Something of this runner's was come upon. One never heard counts as heard just now: its
        first sign of life may have been lost, and it is owed the time for the next ones."""
        self._heard.setdefault(runner, self._clock())

    def silence_s(self, runner: str) -> float:
        """Seconds without a sign of life, as far as anybody listened; 0 where nothing is known."""
        if self.is_deaf:
            return 0.0
        return self._clock() - max(self._listening_since, self._heard.get(runner, 0.0))

    @property
    def is_deaf(self) -> bool:
        """Whether not even one's own signs of life are heard."""
        own = self._heard.get(self._own)
        return own is None or self._clock() - own > DEAF_AFTER_S

    def _forget(self) -> None:
        oldest = self._clock() - FORGOTTEN_AFTER_S
        self._heard = {runner: at for runner, at in self._heard.items() if at > oldest}
