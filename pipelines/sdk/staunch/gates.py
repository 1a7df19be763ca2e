"""`step.gate`: waiting for people. Which answers count is decided by the driver."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from staunch.errors import GateRejected, GateTimedOut
from staunch.ledger import Ledger
from staunch.results import GateAnswer
from staunch.shell import text

TYPES = {str: "str", int: "int", float: "float", bool: "bool"}
NEEDED_MAX = 100


def terms(
    approvers: Sequence[str],
    needed: int,
    inputs: Mapping[str, type | str] | None,
    message: str,
) -> dict[str, Any]:
    """GateTerms in their wire form, without `due`. Raises TypeError or ValueError."""
    if isinstance(approvers, str):
        raise TypeError(f"approvers must be a list of names: approvers=[{approvers!r}]")
    names = [text(name, "an approver") for name in approvers]
    if isinstance(needed, bool) or not isinstance(needed, int) or not 1 <= needed <= NEEDED_MAX:
        raise ValueError(f"needed must be 1 to {NEEDED_MAX}, not {needed!r}")
    if names and needed > len(names) and not any(name.startswith("@") for name in names):
        raise ValueError(f"needed={needed}, but there are only {len(names)} approvers")
    return {
        "approvers": names,
        "needed": needed,
        "inputs": {text(name, "an input"): _type(name, of) for name, of in (inputs or {}).items()},
        "message": text(message, "message"),
    }


def _type(name: str, of: object) -> str:
    found = TYPES.get(of) if isinstance(of, type) else of
    if found not in TYPES.values():
        raise TypeError(f"input {name!r} must be str, int, float or bool, not {of!r}")
    assert isinstance(found, str)
    return found


async def run(ledger: Ledger, key: str, terms: dict[str, Any], timeout: float | None) -> GateAnswer:
    """Wait for the decision."""
    due = None if timeout is None else ledger.loop.time() + timeout
    ledger.ask("gate", key, {**terms, "timeout": timeout}, gate={**terms, "due": due})
    decision = ledger.open_gate(key, {**terms, "due": due})
    try:
        async with asyncio.timeout_at(due) as limit:
            answer = await decision
    except TimeoutError:
        assert limit.expired(), "a decision is never a TimeoutError"
        error = GateTimedOut(key, timeout or 0.0)
        ledger.settle("gate", key, "timed_out", error=_failure(ledger, key, error))
        raise error from None
    except asyncio.CancelledError:
        ledger.settle("gate", key, "cancelled")
        raise
    finally:
        ledger.close_gate(key)
    if not answer["approved"]:
        rejected = GateRejected(key, answer["by"][-1], answer["comment"])
        ledger.settle("gate", key, "failed", error=_failure(ledger, key, rejected))
        raise rejected
    value = {name: answer[name] for name in ("by", "inputs", "comment")}
    ledger.settle("gate", key, "succeeded", value=value)
    return GateAnswer(**value)


def _failure(ledger: Ledger, key: str, error: Exception) -> dict[str, Any]:
    return {**ledger.failure(error, key), "kind": "refused"}
