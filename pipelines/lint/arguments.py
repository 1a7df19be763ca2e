"""Arguments: what step verbs, triggers and the rest of the SDK are given, and do not take."""

import ast
import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipelines.lint.calls import Calls, Given, Target, missing_of
from pipelines.lint.finding import Finding
from pipelines.lint.project import Project
from pipelines.lint.sdk import Refusal, declare, form_of, kind_of, refusals, signature
from pipelines.lint.source import Source
from pipelines.lint.values import UNKNOWN

if TYPE_CHECKING:
    from pipelines.schedule import ScheduleRefused

_RULES = {"duration": "wrong-duration", "choice": "wrong-choice", "value": "wrong-argument"}
_OF_ARGUMENTS = {"name": "wrong-name", "pipeline": "unknown-pipeline", "cron": "wrong-schedule"}
_JOINING = frozenset({"step.parallel", "step.first"})
_LISTS = (ast.List, ast.Tuple, ast.Set, ast.ListComp, ast.GeneratorExp, ast.SetComp)
_TRIGGERS = "__staunch_triggers__"


def check(source: Source, calls: Calls, project: Project) -> Iterator[Finding]:
    """Every call of the SDK in a file, in its order: declarations add up."""
    module: dict[str, Any] = {}
    at_top = {one.value for one in source.tree.body if isinstance(one, ast.Expr)}
    found = [one for one in source.nodes if isinstance(one, ast.Call)]
    for node in sorted(found, key=lambda one: (one.lineno, one.col_offset)):
        target = calls.target(node)
        if target is not None:
            given = calls.given(node, target)
            bad = [*_ill_bound(source, node, target, given)]
            yield from bad
            scope = module if node in at_top else {}
            is_bound = len(bad) == len(given.unknown)
            if is_bound and not given.is_open:
                yield from _tried(source, calls, node, target, given, scope)
    yield from _schedules(source, project, module)


def _ill_bound(source: Source, node: ast.Call, target: Target, given: Given) -> Iterator[Finding]:
    parameters = signature(target.call).parameters
    for one in given.unknown:
        names = [name for name in parameters if name != "self"]
        near = difflib.get_close_matches(one.arg or "", names, 1)
        fix = f"write {near[0]}=…" if near else f"leave it out; there are {', '.join(names)}"
        message = f"{target.shown} has no argument {one.arg!r}"
        yield source.finding(one, "unknown-argument", message, fix)
    for value in given.extra:
        yield source.finding(
            value,
            "extra-argument",
            f"{target.shown} takes no further argument by its place",
            f"name it (name=…), or leave it out: {target.shown}{_form(target)}",
        )
    for value in given.twice:
        message = f"{target.shown} is given this argument twice"
        yield source.finding(value, "extra-argument", message, "leave one of the two out")
    missing = missing_of(target, given)
    if missing and not given.unknown:
        yield source.finding(
            node,
            "missing-argument",
            f"{target.shown} needs {', '.join(missing)}",
            f"write {target.shown}{_form(target)}",
        )


def _form(target: Target) -> str:
    """The parameters that must be there, in brackets."""
    parameters = signature(target.call).parameters.values()
    needed = [one.name for one in parameters if one.default is one.empty]
    return f"({', '.join([*needed, '…'])})"


def _tried(
    source: Source,
    calls: Calls,
    node: ast.Call,
    target: Target,
    given: Given,
    scope: dict[str, Any],
) -> Iterator[Finding]:
    if target.shown in _JOINING:
        if lists := [one for one in given.rest if isinstance(one, _LISTS)]:
            yield _listed(source, lists[0], target)
            return
        given.rest.clear()
        if target.shown == "step.first":
            return
    named, rest = calls.evaluated(given)
    if target.shown == "step.do":
        rest = []  # they are the function's own matter
    if UNKNOWN in rest:
        return
    found = refusals(target.call, named, rest, scope)
    for one in found:
        yield _refused(source, calls, node, target, given, one)
    if not found and target.shown.startswith("on.") and UNKNOWN not in named.values():
        before = len(scope.get(_TRIGGERS, []))
        declare(target.call, named, rest, scope)
        for trigger in scope.get(_TRIGGERS, [])[before:]:
            if "line" in trigger:
                trigger["line"] = node.lineno


def _listed(source: Source, node: ast.expr, target: Target) -> Finding:
    return source.finding(
        node,
        "wrong-argument",
        f"{target.shown} takes the steps themselves, and not a list of them",
        f"put a * before it: {target.shown}(*…)",
    )


def _refused(
    source: Source, calls: Calls, node: ast.Call, target: Target, given: Given, refusal: Refusal
) -> Finding:
    where = given.named.get(refusal.argument, node)
    rule = _OF_ARGUMENTS.get(refusal.argument, "")
    if not rule or (rule == "wrong-name" and not target.shown.startswith("step.")):
        rule = _RULES[kind_of(target.call, refusal.argument)]
    message, _, fix = refusal.message.partition("; ")
    fix = fix or _fix(source, calls, where, target, refusal)
    return source.finding(where, rule, message, fix)


def _fix(source: Source, calls: Calls, where: ast.expr, target: Target, refusal: Refusal) -> str:
    argument = refusal.argument
    if not argument:
        return f"say it once, and as {target.shown}{_form(target)}"
    if argument == "pipeline":
        known = sorted(calls.books.pipelines)
        near = difflib.get_close_matches(str(calls.values.of(where)), known, 1)
        return f"write {near[0]!r}" if near else "name one of these, or add its file to .staunch/"
    _, _, example = refusal.message.rpartition(": ")
    if example.startswith(f"{argument}=") and example != refusal.message:
        return f"write {example}"
    if argument not in signature(target.call).parameters:
        return f"change {argument}=…"
    return f"give {argument} a value that it takes: {form_of(target.call, argument)}"


def _schedules(source: Source, project: Project, module: dict[str, Any]) -> Iterator[Finding]:
    declared = [one for one in module.get(_TRIGGERS, []) if one.get("on") == "schedule"]
    if not declared:
        return
    for refused in _refused_schedules(declared, project):
        message, _, fix = str(refused).partition("; ")
        node = next(
            one for one in source.nodes
            if isinstance(one, ast.Call) and one.lineno == (refused.line or one.lineno)
        )  # fmt: skip
        fix = fix or "write it like on.schedule('0 3 * * 1-5', tz='Europe/Berlin')"
        yield source.finding(node, "wrong-schedule", message, fix)


def _refused_schedules(
    declared: list[dict[str, Any]], project: Project
) -> Iterator["ScheduleRefused"]:
    # Only here: most pipelines have none, and editors wait for every import.
    from pipelines.schedule import ScheduleRefused, schedules_of

    for one in declared:
        try:
            for schedule in schedules_of([one]):
                project.check_schedule(schedule)
        except ScheduleRefused as error:
            yield error
    try:
        schedules_of(declared)
    except ScheduleRefused as error:
        yield error
