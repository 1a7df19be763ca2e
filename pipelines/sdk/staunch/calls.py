"""`step.call` and `step.start`: another pipeline of the repository, as a Run of its own."""

import asyncio
from typing import Any

from staunch.entered import complete
from staunch.errors import RunFailed
from staunch.ledger import Ledger

DEPTH_MAX = 8


def request(ledger: Ledger, pipeline: str, inputs: object, *, detached: bool) -> dict[str, Any]:
    """The CallRequest in its wire form. Raises TypeError or ValueError for a wrong option."""
    if not isinstance(pipeline, str) or not pipeline:
        raise TypeError(f"the pipeline must be its name, not {pipeline!r}")
    there = ledger.pipelines
    if pipeline not in there:
        raise ValueError(
            f"this commit has no pipeline {pipeline!r} (there is: {', '.join(sorted(there))})"
        )
    if ledger.depth >= DEPTH_MAX:
        raise RecursionError(
            f"this run is {ledger.depth} calls deep, and {DEPTH_MAX} are allowed: does a pipeline"
            " call itself?"
        )
    given = {} if inputs is None else inputs
    if not isinstance(given, dict):
        raise TypeError(f"inputs must be a dict, not {given!r}")
    kept = ledger.plain(f"{pipeline} inputs", given)
    asks = ledger.asks(pipeline)
    if asks is not None:
        named = f"the inputs of pipeline {pipeline!r}"
        kept = complete(asks["inputs"], asks["rules"], kept, named)
    return {"pipeline": pipeline, "file": there[pipeline], "inputs": kept, "detached": detached}


async def run(ledger: Ledger, key: str, asked: dict[str, Any]) -> Any:
    """Begin a child Run, and wait for what it returns."""
    if (kept := ledger.recalled("call", key, asked)) is not None:
        return kept["value"]["output"]
    ledger.ask("call", key, asked, call=asked)
    report = await _report(ledger, key)
    value = {"run": report["run"], "output": report.get("output")}
    if report["state"] != "succeeded":
        error = _error(key, report)
        ledger.settle("call", key, _state(report), value=value, error=ledger.failure(error, key))
        raise error
    ledger.settle("call", key, "succeeded", value=value)
    return value["output"]


async def start(ledger: Ledger, key: str, asked: dict[str, Any]) -> str:
    """Begin a child Run that nobody waits for; its id."""
    if (kept := ledger.recalled("call", key, asked)) is not None:
        return str(kept["value"]["run"])
    ledger.ask("call", key, asked, call=asked)
    ledger.open_call(key, detached=True)
    child = ledger.child(key)
    ledger.settle("call", key, "succeeded", value={"run": child})
    return child


async def _report(ledger: Ledger, key: str) -> dict[str, Any]:
    report = ledger.open_call(key)
    try:
        return await report
    except asyncio.CancelledError:
        # It may have ended in the very moment in which it was cancelled: then that is recorded.
        if report.done() and not report.cancelled():
            told = report.result()
            value = {"run": told["run"], "output": told.get("output")}
            ledger.settle("call", key, _state(told), value=value)
        else:
            ledger.drop_call(key)
            ledger.settle("call", key, "cancelled", value={"run": ledger.child(key)})
        raise


def _state(report: dict[str, Any]) -> str:
    state = report["state"]
    return state if state in ("succeeded", "cancelled") else "failed"


def _error(key: str, report: dict[str, Any]) -> RunFailed:
    cause = report.get("error")
    message = f"{cause['type']}: {cause['message']}" if cause else ""
    return RunFailed(key, report["run"], report["state"], message)
