"""`step.gate`: waiting for people. Which answers count is decided by the driver."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from staunch.errors import GateRejected, GateTimedOut
from staunch.inputs import Input, wire
from staunch.ledger import Ledger
from staunch.results import GateAnswer
from staunch.shell import text

NEEDED_MAX = 100

Asked = type | str | Input | Sequence[Any]


def terms(
    approvers: Sequence[str],
    needed: int,
    inputs: Mapping[str, Asked] | None,
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
    types, rules = wire(inputs)
    return {
        "approvers": names,
        "needed": needed,
        "inputs": types,
        "message": text(message, "message"),
        "rules": rules,
    }


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
