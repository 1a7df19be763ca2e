"""Usage: how much a Run has used of what it may have. Pure.

Every Turn carries the Usage as of its end, so that whoever has the newest Turn has it: the engine,
which must end a Run that goes over a limit, the read model, which warns people long before, and the
plan, which can go on as a new Run in time (`step.usage`). What the limits are: `near_limits.py`.
"""

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`events`: inputs consumed. `steps`: those asked for. `history_bytes`: those inputs and all
    Turns, as JSON. `turn_bytes`: the largest Turn."""

    events: int = 0
    steps: int = 0
    history_bytes: int = 0
    turn_bytes: int = 0

    def plus(self, *, events: int, steps: int, input_bytes: int, turn_bytes: int) -> "Usage":
        """With one more Turn of this size, which consumed so many events of that size.

        `steps`: of the whole Run, as its plan counts them; 0 where it was not asked.
        """
        return Usage(
            events=self.events + events,
            steps=max(self.steps, steps),
            history_bytes=self.history_bytes + input_bytes + turn_bytes,
            turn_bytes=max(self.turn_bytes, turn_bytes),
        )
