"""`step.gate`: waiting for people. Which answers count is decided by the driver."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from staunch.causes import is_among
from staunch.entered import WrongInput, complete
from staunch.errors import GateRejected, GateTimedOut
from staunch.inputs import Input, wire
from staunch.ledger import Ledger
from staunch.results import GateAnswer
from staunch.shell import text

NEEDED_MAX = 100
ON_TIMEOUT = ("raise", "approve", "reject")

Asked = type | str | Input | Sequence[Any]


@dataclass(frozen=True, slots=True)
class Wish:
    """A gate as its author writes it."""

    approvers: Sequence[str] = ()
    needed: int = 1
    inputs: Mapping[str, Asked] | None = None
    timeout: float | None = None
    message: str = ""
    not_author: bool = False
    on_timeout: str = "raise"

    def terms(self, causes: list[str]) -> dict[str, Any]:
        """GateTerms in their wire form, without `due`. Raises TypeError or ValueError."""
        if isinstance(self.approvers, str):
            raise TypeError(f"approvers must be a list of names: approvers=[{self.approvers!r}]")
        if not isinstance(self.not_author, bool):
            raise TypeError(f"not_author must be True or False, not {self.not_author!r}")
        barred = causes if self.not_author else []
        types, rules = wire(self.inputs)
        names = [text(name, "an approver") for name in self.approvers]
        terms = {
            "approvers": names,
            "needed": self.needed,
            "inputs": types,
            "message": text(self.message, "message"),
            "rules": rules,
            "barred": barred,
            "on_timeout": self.on_timeout,
        }
        _check_needed(names, self.needed, barred)
        _check_on_timeout(self.on_timeout, self.timeout, terms)
        return terms


def _check_needed(names: list[str], needed: int, barred: list[str]) -> None:
    if isinstance(needed, bool) or not isinstance(needed, int) or not 1 <= needed <= NEEDED_MAX:
        raise ValueError(f"needed must be 1 to {NEEDED_MAX}, not {needed!r}")
    if not names or any(name.startswith("@") for name in names):
        return
    if needed > len(names):
        raise ValueError(f"needed={needed}, but there are only {len(names)} approvers")
    left = [name for name in names if not is_among(name, barred)]
    if needed > len(left):
        # Better said now than waited for: nobody else will ever be asked.
        raise ValueError(
            f"needed={needed}, but not_author leaves {len(left)} of the approvers: this run was"
            f" caused by {', '.join(barred)}"
        )


def _check_on_timeout(act: str, timeout: float | None, terms: dict[str, Any]) -> None:
    if act not in ON_TIMEOUT:
        raise ValueError(f"on_timeout must be one of {', '.join(ON_TIMEOUT)}, not {act!r}")
    if act != "raise" and timeout is None:
        raise ValueError(f"on_timeout={act!r} needs a timeout")
    if act == "approve":
        try:
            complete(terms["inputs"], terms["rules"], {})
        except WrongInput as wrong:
            raise ValueError(
                f"on_timeout='approve' needs a default for every input: {wrong}"
            ) from None


async def run(ledger: Ledger, key: str, terms: dict[str, Any], timeout: float | None) -> GateAnswer:
    """Wait for the decision."""
    options = {**terms, "timeout": timeout}
    if (kept := ledger.recalled("gate", key, options)) is not None:
        return GateAnswer(**kept["value"])
    due = None if timeout is None else ledger.loop.time() + timeout
    ledger.ask("gate", key, options, gate={**terms, "due": due})
    decision = ledger.open_gate(key, {**terms, "due": due})
    try:
        async with asyncio.timeout_at(due) as limit:
            answer = await decision
    except TimeoutError:
        assert limit.expired(), "a decision is never a TimeoutError"
        return _timed_out(ledger, key, terms, timeout or 0.0)
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


def _timed_out(ledger: Ledger, key: str, terms: dict[str, Any], timeout: float) -> GateAnswer:
    """What the gate's author wants then. Answers that did not suffice are not counted."""
    if terms["on_timeout"] == "approve":
        inputs = complete(terms["inputs"], terms["rules"], {})
        value = {"by": [], "inputs": inputs, "comment": ""}
        ledger.settle("gate", key, "succeeded", value=value)
        return GateAnswer([], inputs)
    is_rejected = terms["on_timeout"] == "reject"
    error = GateRejected(key, "") if is_rejected else GateTimedOut(key, timeout)
    ledger.settle("gate", key, "timed_out", error=_failure(ledger, key, error))
    raise error from None


def _failure(ledger: Ledger, key: str, error: Exception) -> dict[str, Any]:
    return {**ledger.failure(error, key), "kind": "refused"}
