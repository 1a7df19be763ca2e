"""Replays: a Run's History played again from its export, with no store and no effects.

Against the code it began with it must decide what is recorded. Against other code it shows at which
Turn and step that code would leave the record. Synchronous: call it in a sandbox thread.
"""

import hashlib
from collections.abc import Generator
from dataclasses import dataclass

from ci_host.tenant.sandbox import Sandbox, Tenant, TenantFailed, TimedInput, TurnInputs
from pipelines.bundle import Bundle
from pipelines.export import Export, ExportedInput
from pipelines.history import usage_after
from pipelines.turn import ENDED_BY_HOST, Divergence, Turn, check_replay
from pipelines.usage import Usage


@dataclass(frozen=True, slots=True)
class Played:
    """One Turn of a replay. `by_host`: its plan did not decide it, so there was nothing to play."""

    turn: Turn
    inputs: list[ExportedInput]
    by_host: bool = False
    divergence: str = ""


def replay(
    export: Export, sandbox: Sandbox, bundle: Bundle | None = None
) -> Generator[Played, None, None]:
    """The Turns, as they are played; the first that differs is the last. `bundle`: other code."""
    by_sequence = {given.sequence: given for given in export.inputs}
    tenant: Tenant | None = None
    usage = Usage()
    try:
        for stored in export.turns:
            turn, before = stored.turn, usage
            usage = usage_after(usage, turn)
            inputs = [by_sequence[sequence] for sequence in turn.consumed]
            if turn.digest == ENDED_BY_HOST:
                yield Played(turn, inputs, by_host=True)
                continue
            said = ""
            try:
                tenant = tenant or _load(export, sandbox, bundle or export.bundle)
                (outcome,) = tenant.advance([_inputs_of(turn, inputs, before)])
                check_replay(turn, outcome)
            except Divergence as divergence:
                said = str(divergence)
            except TenantFailed as error:
                said = f"turn {turn.number} is recorded, but replay failed: {error}"
            yield Played(turn, inputs, divergence=said)
            if said:
                return
    finally:
        if tenant is not None:
            tenant.close()


def _load(export: Export, sandbox: Sandbox, bundle: Bundle) -> Tenant:
    run = export.started.run
    return sandbox.load(
        sandbox.prepare(bundle),
        export.started.file,
        run=run,
        seed=hashlib.sha256(run.encode()).hexdigest(),
        at=export.inputs[0].at,
    )


def _inputs_of(turn: Turn, inputs: list[ExportedInput], before: Usage) -> TurnInputs:
    # What is sensitive is not in an export: it is computed again, and is the same.
    memo = [result for result in turn.results if not result.sensitive]
    timed = [TimedInput(one.sequence, one.at, one.input) for one in inputs]
    return TurnInputs(timed, memo, before.history_bytes)
