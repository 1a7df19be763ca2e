"""SDK: what the authors' package takes and refuses, asked of the package itself.

A call is bound to the signature that it has, and then tried: with those of its arguments that are
plain values, and samples in place of the others. What the SDK raises is the mistake, in the words
in which a Run would fail with it; which argument it is about is found by leaving each out.
"""

import inspect
import re
import typing
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from staunch.continuing import ContinuedAsNew
from staunch.durations import Duration
from staunch.step import VERBS, Step
from staunch.triggers import On
from staunch.usage import Usage

from pipelines.lint.values import UNKNOWN

# In place of an argument that nobody knows: what no other one of the same call is wrong with.
SAMPLES: Mapping[str, Any] = {
    "name": "a",
    "run": "true",
    "fn": len,
    "duration": 1,
    "when": 1.0,
    "text": "a",
    "cron": "0 0 * * *",
    "key": "a",
    "level": "normal",
    "limit": 1,
    "network": "egress",
    "timeout": "1d",
    "wait_on_failure": "1m",
    "approvers": ("@a",),
    "done": 0,
}
# Here one argument says what another may be: with an unknown one nothing can be said.
_WHOLE = frozenset({"Input", "Choice", "Service", "matrix"})
TRIGGERS = tuple(name for name in vars(On) if not name.startswith("_"))


@dataclass(slots=True)
class Books:
    """The Ledger of a call that is only tried: it takes everything, and keeps nothing."""

    pipelines: dict[str, str] = field(default_factory=dict)
    pipeline: str = "pipeline"
    seed: str = ""
    depth: int = 0
    causes: list[str] = field(default_factory=list)

    @property
    def usage(self) -> Usage:
        """Nothing was used."""
        return Usage(0, 1, 0, 1, 0, 1, False)

    def is_in_main(self) -> bool:
        """Where it is called from cannot be told."""
        return True

    def asks(self, pipeline: str) -> None:
        """What another file declares is not looked at."""

    def key(self, path: str) -> str:
        """As it is."""
        return path

    def plain(self, key: str, value: Any) -> Any:
        """As it is."""
        return value

    def say(self, note: object) -> None:
        """Nothing."""

    def given(self, verb: str, key: str, site: object, step: Coroutine[Any, Any, Any]) -> None:
        """It will never be awaited."""
        step.close()


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the SDK raised, and about which argument; "": about the call as a whole."""

    argument: str
    message: str


@cache
def signature(of: Callable[..., Any]) -> inspect.Signature:
    """As it is at run time."""
    return inspect.signature(of)


@cache
def awaited_verbs() -> frozenset[str]:
    """The verbs whose step begins when it is awaited."""
    return frozenset(
        verb
        for verb in VERBS
        if get_origin(signature(getattr(Step, verb)).return_annotation) is not None
    )


def step_of(books: Books) -> Step:
    """A Step whose verbs can be tried."""
    return Step(typing.cast(Any, books))


def kind_of(call: Callable[..., Any], argument: str) -> str:
    """duration, choice or value: what this parameter takes, by its annotation."""
    parameter = signature(call).parameters.get(argument)
    annotation = parameter.annotation if parameter is not None else Any
    parts = set(get_args(annotation)) or {annotation}
    if parts - {NoneType} == set(get_args(Duration)):
        return "duration"
    if any(get_origin(one) is Literal for one in (annotation, *parts)):
        return "choice"
    return "value"


def form_of(call: Callable[..., Any], argument: str) -> str:
    """What this parameter takes, in words: its choices, or its type."""
    annotation = signature(call).parameters[argument].annotation
    parts = [one for one in (annotation, *get_args(annotation)) if get_origin(one) is Literal]
    if parts:
        return "one of " + ", ".join(map(repr, get_args(parts[0])))
    shown = inspect.formatannotation(annotation)
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", shown)


def refusals(
    call: Callable[..., Any], given: Mapping[str, Any], rest: list[Any], scope: dict[str, Any]
) -> list[Refusal]:
    """What the SDK has against this call; `given` is by parameter, with UNKNOWN where it is.

    `scope` is what a declaration is made in: the names of the module.
    """
    known = {name: value for name, value in given.items() if value is not UNKNOWN}
    if len(known) < len(given) and getattr(call, "__name__", "") in _WHOLE:
        return []
    found: list[Refusal] = []
    while (message := _tried(call, given, known, rest, scope)) is not None:
        culprit = _culprit(call, given, known, rest, scope, message)
        found.append(Refusal(culprit, message))
        if not culprit:
            break
        del known[culprit]
    return found


def made(call: Callable[..., Any], given: Mapping[str, Any], rest: list[Any]) -> Any:
    """What the call gives, or UNKNOWN."""
    if UNKNOWN in given.values() or any(one is UNKNOWN for one in rest):
        return UNKNOWN
    try:
        bound = _bound(call, given, rest)
        return call(*bound.args, **bound.kwargs)
    except Exception:  # noqa: BLE001 - the call is told of where it stands
        return UNKNOWN


def _culprit(
    call: Callable[..., Any],
    given: Mapping[str, Any],
    known: Mapping[str, Any],
    rest: list[Any],
    scope: dict[str, Any],
    message: str,
) -> str:
    found = []
    for name in known:
        left = {other: value for other, value in known.items() if other != name}
        if _tried(call, given, left, rest, scope) != message:
            found.append(name)
    # The one that the message begins with: "needed=2, but there are only 1 approvers".
    told = sorted((message.find(name), name) for name in found if name in message)
    return told[0][1] if told else "".join(found[:1])


def _tried(
    call: Callable[..., Any],
    given: Mapping[str, Any],
    known: Mapping[str, Any],
    rest: list[Any],
    scope: dict[str, Any],
) -> str | None:
    """What is raised; None: nothing."""
    sampled = {}
    for name, parameter in signature(call).parameters.items():
        if name in known:
            sampled[name] = known[name]
        elif name in SAMPLES and (name in given or parameter.default is parameter.empty):
            sampled[name] = SAMPLES[name]
        elif name in given and parameter.kind is parameter.VAR_KEYWORD:
            continue
        elif parameter.default is parameter.empty and not _is_rest(parameter):
            return None
    parameters = signature(call).parameters
    sampled |= {name: value for name, value in known.items() if name not in parameters}
    names = {name: [*one] if isinstance(one, list) else one for name, one in scope.items()}
    try:
        bound = _bound(call, sampled, rest)
        _called(call, bound, names)
    except ContinuedAsNew:
        return None
    except Exception as error:  # noqa: BLE001 - whatever the SDK says is what a Run would fail with
        return str(error)
    return None


def declare(
    call: Callable[..., Any], given: Mapping[str, Any], rest: list[Any], scope: dict[str, Any]
) -> None:
    """Have a declaration that was tried stand in the module's names."""
    _called(call, _bound(call, given, rest), scope)


def _called(call: Callable[..., Any], bound: inspect.BoundArguments, scope: dict[str, Any]) -> None:
    # A declaration goes to the module whose line calls: that is this one line, with these names.
    parts = {"call": call, "args": bound.args, "kwargs": bound.kwargs}
    step = eval("call(*args, **kwargs)", scope, parts)  # noqa: S307 - of ours, not of the file
    if inspect.iscoroutine(step):
        step.close()


def _bound(
    call: Callable[..., Any], given: Mapping[str, Any], rest: list[Any]
) -> inspect.BoundArguments:
    bound = inspect.BoundArguments(signature(call), typing.cast(Any, {}))
    for name, parameter in signature(call).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            bound.arguments[name] = tuple(rest)
        elif parameter.kind is parameter.VAR_KEYWORD:
            known = {k: v for k, v in given.items() if k not in signature(call).parameters}
            bound.arguments[name] = known
        elif name in given:
            bound.arguments[name] = given[name]
    return bound


def _is_rest(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
