"""Supposing: the steps of a Run that are not done, because somebody tries out only some of them.

`run_started` names those that are done (see `pipelines/supposed.py`). Of the others, what waits for
the world is settled at once, as if it had gone well; functions of the plan are called as ever.
"""

from collections.abc import Callable
from typing import Any

from staunch.supposed import answer, is_named, job_value, payload, said_of

Options = dict[str, Any]


class Supposing:
    """Of one Run. `child` gives the id of the Run that a call would begin."""

    def __init__(self, wish: dict[str, Any], child: Callable[[str], str]) -> None:
        self._only: list[str] = wish["only"]
        self._values: dict[str, dict[str, Any]] = wish.get("values", {})
        self._child = child

    def value(self, kind: str, key: str, options: Options) -> dict[str, Any] | None:
        """`{"value": …}` of a step that is not done; None: it is. Raises ValueError."""
        make = _MAKERS.get(kind)
        if make is None or is_named(key, self._only):
            return None
        return {"value": make(self, key, options)}

    def _job(self, key: str, options: Options) -> Any:
        return job_value(options, said_of(key, self._values))

    def _gate(self, key: str, options: Options) -> Any:
        found = answer(options, said_of(key, self._values))
        if found is None:
            raise ValueError(
                f"gate {key!r} cannot be supposed to be approved: nobody may, or an input of it"
                f" must be said with --suppose {key}.NAME=VALUE"
            )
        return found

    def _wait(self, key: str, options: Options) -> Any:
        said = payload(options.get("match"), said_of(key, self._values))
        if "signals" in options:
            return {"event": options["signals"][0], "payload": said}
        return said

    def _call(self, key: str, _options: Options) -> Any:
        return {"run": self._child(key), "output": said_of(key, self._values) or None}

    def _sleep(self, _key: str, _options: Options) -> Any:
        return None


_MAKERS: dict[str, Callable[[Supposing, str, Options], Any]] = {
    "job": Supposing._job,
    "gate": Supposing._gate,
    "wait": Supposing._wait,
    "call": Supposing._call,
    "sleep": Supposing._sleep,
}
