"""`step.continue_as_new`: end this Run, and have its successor begin anew with other inputs."""

from typing import Any, NoReturn

from staunch.entered import complete
from staunch.ledger import Ledger


class ContinuedAsNew(BaseException):
    """How a plan leaves `run()` to go on as another Run. No `except Exception` catches it."""

    def __init__(self, inputs: dict[str, Any] | None) -> None:
        super().__init__("the run goes on as another one")
        self.inputs = inputs


def leave(ledger: Ledger, inputs: object) -> NoReturn:
    """Leave `run()`. Raises TypeError or ValueError for inputs that do not fit: nothing ends."""
    if not ledger.is_in_main():
        raise RuntimeError(
            "step.continue_as_new ends the whole run: call it in run() itself, not in a step that"
            " runs beside others, and not in a rollback"
        )
    given = {} if inputs is None else inputs
    if not isinstance(given, dict):
        raise TypeError(f"inputs must be a dict, not {given!r}")
    kept = ledger.plain("continue_as_new inputs", given)
    asks = ledger.asks(ledger.pipeline)
    if asks is not None:
        kept = complete(asks["inputs"], asks["rules"], kept, "the inputs of this pipeline")
    raise ContinuedAsNew(kept or None)
