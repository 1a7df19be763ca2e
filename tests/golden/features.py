"""Features: what a History shows: kinds of inputs, of commands, and how steps and Runs end."""

from pipelines.export import Export
from pipelines.turn import ENDED_BY_HOST


def features_of(export: Export) -> set[str]:
    """In words, such as `gate timed_out`."""
    found = {"supposed"} if export.started.supposed else set()
    found |= {f"input {type(one.input).__struct_config__.tag}" for one in export.inputs}
    for stored in export.turns:
        turn = stored.turn
        found |= {f"asks {command.kind}" for command in turn.commands}
        found |= {f"{result.kind} {result.state}" for result in turn.results}
        found |= {"recalled" for result in turn.results if result.recalled_from}
        found |= {"sensitive" for result in turn.results if result.sensitive}
        found |= {f"run {turn.state}"}
        found |= {"ended by the host"} if turn.digest == ENDED_BY_HOST else set()
    return found
