"""Run inputs: what a pipeline gets as `event.inputs`, decided before its Run is accepted."""

from collections.abc import Mapping
from typing import Any

import msgspec
from staunch.entered import WrongInput, complete, cut, defaults

from pipelines.bundle import PipelineEntry


def entered(entry: PipelineEntry, given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Every input's value, with the defaults; None: the pipeline asks for nothing.

    `given` None: nobody could be asked, as at a push; then the defaults are all there is. Raises
    WrongInput, naming the input, what it must be, and everything that is asked for.
    """
    if entry.asks is None:
        if given:
            raise WrongInput(
                f"pipeline {entry.name!r} takes no inputs, so not {cut(min(given))}; its file"
                " declares them with on.manual(inputs={…})"
            )
        return None
    rules = msgspec.to_builtins(entry.asks.rules)
    if given is None:
        return defaults(entry.asks.inputs, rules)
    named = f"the inputs of pipeline {entry.name!r}"
    try:
        return complete(entry.asks.inputs, rules, given, named)
    except WrongInput:
        raise
    except (TypeError, ValueError) as bent:
        # The SDK checks a declaration, and a plan can bend the SDK.
        raise WrongInput(f"{named} cannot be checked by what it declares: {bent}") from bent
