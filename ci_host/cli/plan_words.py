"""Plan words: what a planned step is and would run, as the tree, the drawing and JSON say it."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from ci_host.testkit.planned import PlannedRun, PlannedStep
from ci_host.web.step_graph import followed_by
from pipelines.commands import GateTerms, StepKind
from pipelines.event import Event
from pipelines.job import JOB_TIMEOUT_S_DEFAULT, JobRequest

VALUE_CHARS_MAX = 60
SUPPOSED = (
    "as if each job succeeded, each gate was approved, each signal came, and no time was waited"
)


def supposed_words(fails: tuple[str, ...]) -> str:
    """What is supposed and not known."""
    return SUPPOSED + (f"; but {', '.join(fails)} did not go well" if fails else "")


def event_words(event: Event) -> str:
    """Such as "push of main"."""
    request = event.pull_request
    if request is not None:
        return f"pull request of {request.head_ref} into {request.base_ref}"
    name = event.branch or event.tag or event.ref
    return f"{event.kind.replace('_', ' ')} of {name}"


def facts_of(step: PlannedStep) -> Iterator[str]:
    """What there is to say of it beside its name and kind."""
    if step.request is not None:
        yield from _job_facts(step.request)
    if step.gate is not None:
        yield from _gate_facts(step, step.gate)
    if step.kind is StepKind.SLEEP and step.due is not None:
        yield f"{_length(step.due - step.started_at)}, skipped"
    if step.signals:
        until = "" if step.due is None else f" for up to {_length(step.due - step.started_at)}"
        yield f"waits{until} for {' or '.join(step.signals)}"
    if step.call is not None:
        yield f"pipeline {step.call.pipeline}" + (", not awaited" if step.call.detached else "")
    if step.kind is StepKind.DO and step.state == "succeeded":
        yield f"computed: {_shown(step.value)}"
    if step.attempts > 1:
        yield f"{step.attempts} attempts"
    if step.failure is not None:
        yield f"{step.state.replace('_', ' ')}: {step.failure.message}"
    elif step.state in ("timed_out", "cancelled", "running", "retrying"):
        yield step.state.replace("_", " ")


def commands_of(step: PlannedStep) -> list[str]:
    """What a job would run, a text for each of its steps."""
    return [one.run for one in step.request.steps] if step.request is not None else []


def hint_of(run: PlannedRun) -> str:
    """Where it ends by itself though all went well: what may be missing."""
    error = run.failure
    if run.state != "failed" or error is None or error.step is not None:
        return ""
    if error.type not in ("KeyError", "TypeError") and "NoneType" not in error.message:
        return ""
    return (
        "jobs are supposed to have written no outputs, and signals to say nothing:"
        " --suppose STEP.NAME=VALUE says what a step hands over"
    )


def told(run: PlannedRun) -> dict[str, Any]:
    """The Run as JSON has it."""
    before = followed_by(run.steps)
    return {
        "pipeline": run.entry.name,
        "file": run.entry.file,
        "state": run.state,
        "stopped": run.stopped,
        "output": run.output,
        "failure": None if run.failure is None else msgspec.to_builtins(run.failure),
        "printed": run.printed,
        "steps": [_told(step, before[step.key]) for step in run.steps],
    }


def _told(step: PlannedStep, needs: list[str]) -> dict[str, Any]:
    request = step.request
    return {
        "key": step.key,
        "kind": str(step.kind),
        "state": step.state,
        "needs": needs,
        "attempts": step.attempts,
        "value": step.value,
        "failure": None if step.failure is None else step.failure.message,
        "commands": commands_of(step),
        "job": None if request is None else msgspec.to_builtins(request),
        "gate": None if step.gate is None else msgspec.to_builtins(step.gate),
        "by": list(step.by),
        "inputs": dict(step.entered),
        "signals": list(step.signals),
        "wait_s": None if step.due is None else round(step.due - step.started_at, 3),
        "child": None if step.child is None else told(step.child),
    }


def _job_facts(request: JobRequest) -> Iterator[str]:
    if request.labels:
        yield f"a pool with {', '.join(request.labels)}"
    else:
        yield f"pool {request.pool}"
    if request.image:
        yield f"image {request.image}"
    if request.environment:
        yield f"environment {request.environment}"
    if request.secrets:
        yield "secrets " + ", ".join(
            name if name == variable else f"{variable} from {name}"
            for variable, name in request.secrets.items()
        )
    if request.services:
        yield "services " + ", ".join(one.name for one in request.services)
    if request.network:
        hosts = f" to {', '.join(request.egress)}" if request.egress else ""
        yield f"network {request.network}{hosts}"
    if request.artifacts:
        yield f"keeps {', '.join(request.artifacts)}"
    if request.timeout_s != JOB_TIMEOUT_S_DEFAULT:
        yield f"{_length(request.timeout_s)} at most"


def _gate_facts(step: PlannedStep, terms: GateTerms) -> Iterator[str]:
    who = ", ".join(terms.approvers) or "anybody"
    yield f"{terms.needed} of {who}"
    if terms.inputs:
        yield "asks for " + ", ".join(f"{name}: {kind}" for name, kind in terms.inputs.items())
    if terms.due is not None:
        yield f"for up to {_length(terms.due - step.started_at)}"
    if step.by:
        entered = ", ".join(f"{name}={_shown(value)}" for name, value in step.entered.items())
        yield f"supposed approved by {', '.join(step.by)}" + (f" with {entered}" if entered else "")


def _length(seconds: float) -> str:
    """A length of time, as exact as its author wrote it."""
    rest, parts = round(seconds, 3), []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count:g}{unit}")
    if rest or not parts:
        parts.append(f"{round(rest, 3):g}s")
    return " ".join(parts)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 1] + "…"
