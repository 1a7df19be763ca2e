"""How a broken limit is told to the pipeline's author: one sentence, with file and line."""

import re

import msgspec

from ci_host.tenant.guest import Breach, Refused, Trapped
from ci_host.tenant.limits import Limits
from ci_host.tenant.sandbox import TenantFailed
from pipelines.failure import MESSAGE_CHARS_MAX, Failure

_place = re.compile(r"^(.+):(\d+)$")

_TYPES = {
    Breach.TIME: "TimeExceeded",
    Breach.STACK: "StackExhausted",
    Breach.MEMORY: "MemoryExceeded",
    Breach.FORBIDDEN: "NotInSandbox",
    Breach.OUTPUT: "OutputExceeded",
    Breach.CRASH: "SandboxCrashed",
}


def failed(trapped: Trapped, limits: Limits, where: str, place: str) -> TenantFailed:
    """The Failure for a breach; `where` is what was going on ("one turn"), `place` `file:line`."""
    match = _place.match(place)
    return TenantFailed(
        Failure(
            type=_TYPES[trapped.breach],
            message=_message(trapped, limits, where)[:MESSAGE_CHARS_MAX],
            file=match[1] if match else None,
            line=int(match[2]) if match else None,
        )
    )


def refused(answer: Refused) -> TenantFailed:
    """The Failure that the guest itself told."""
    try:
        failure = msgspec.json.decode(answer.failure, type=Failure)
    except msgspec.MsgspecError:
        return broken(f"its error cannot be read: {answer.failure[:200]}")
    return TenantFailed(failure)


def broken(what: str) -> TenantFailed:
    """The guest answered something that our driver never answers: the pipeline bent it."""
    return TenantFailed(
        Failure(type="SandboxBroken", message=f"the pipeline broke its own sandbox: {what}")
    )


def last_place(told: str) -> str:
    """The last `file:line` that a traced instance told; empty if there is none."""
    for line in reversed(told.splitlines()):
        if _place.match(line):
            return line
    return ""


def _message(trapped: Trapped, limits: Limits, where: str) -> str:
    match trapped.breach:
        case Breach.TIME:
            allowed = limits.prepare_s if where == "importing" else limits.turn_s
            return (
                f"the pipeline used more than {allowed:g} s of CPU in {where}; heavy work belongs"
                " into a step.job"
            )
        case Breach.STACK:
            return "the pipeline nested calls or data too deeply: the sandbox's stack is exhausted"
        case Breach.MEMORY:
            size = limits.memory_bytes // 2**20
            return f"the pipeline used more than {size} MiB of memory"
        case Breach.FORBIDDEN:
            return (
                f"the pipeline used {trapped.detail}, which a sandbox has not; effects belong into"
                " a step.job"
            )
        case Breach.OUTPUT:
            return f"the pipeline wrote more than the sandbox takes: {trapped.detail}"
        case Breach.CRASH:
            return f"the pipeline crashed its sandbox: {trapped.detail}"
