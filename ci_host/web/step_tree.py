"""StepTree: the Steps of a Run by their scopes, as its page lists them.

Of many that are alike, as the shards of a matrix, all but those that broke are below one node.
Pure.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from staunch.supposed import SUPPOSED

from ci_host.adapters.sql.tables import AttemptRow, StepRow
from ci_host.web.step_groups import pattern_of
from pipelines.commands import SENSITIVE
from pipelines.failure import Failure

VALUE_CHARS_MAX = 160
# So many that are alike are listed one by one.
ALIKE_MAX = 12
BROKEN = ("failed", "timed_out", "lost", "refused")
# What is said of a scope in whose Steps several states are: the first of these.
FOREMOST = (*BROKEN, "retrying", "waiting", "paused", "running", "queued", "pending", "cancelled")


@dataclass(slots=True)
class Node:
    """A Step in the tree, or (without `step`) a scope that holds some.

    `is_many`: no scope of the plan's, but nodes that are alike. `is_open`: the Step whose log was
    asked for is below.
    """

    name: str
    path: str
    step: StepRow | None = None
    attempts: Sequence[AttemptRow] = ()
    note: str = ""
    children: list["Node"] = field(default_factory=list)
    is_many: bool = False
    is_open: bool = False

    @property
    def state(self) -> str:
        """As it is shown; of a scope, what matters most of what is below."""
        if self.step is not None:
            return _state_of(self.step, self.attempts)
        found = {one.state for one in self.children}
        return next((one for one in FOREMOST if one in found), "succeeded")

    def counts(self) -> list[tuple[str, int]]:
        """How many nodes below are in which state, the most frequent first."""
        return Counter(one.state for one in self.children).most_common()


def step_tree(steps: Sequence[StepRow], attempts: Sequence[AttemptRow], asked: str) -> list[Node]:
    """The Steps by their scopes (`eu/deploy` is in `eu`), in the order they were asked for.

    `asked`: the key of the one whose log was asked for, if one was.
    """
    of_key: dict[str, list[AttemptRow]] = defaultdict(list)
    for one in attempts:
        of_key[one.key].append(one)
    top = Node("", "")
    scopes: dict[str, Node] = {"": top}
    for step in steps:
        path, _, name = step.key.rpartition("/")
        tried = sorted(of_key[step.key], key=lambda one: one.attempt)
        node = Node(name, step.key, step, tried, _note(step, tried))
        _scope(scopes, path).children.append(node)
    return _folded(top.children, "", asked)


def _scope(scopes: dict[str, Node], path: str) -> Node:
    if path not in scopes:
        above, _, name = path.rpartition("/")
        scopes[path] = Node(name, path)
        _scope(scopes, above).children.append(scopes[path])
    return scopes[path]


def _folded(nodes: Sequence[Node], path: str, asked: str) -> list[Node]:
    """The same with many that are alike below one node, where the first of them stood."""
    alike: dict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        if node.step is None:
            node.children = _folded(node.children, node.path, asked)
        alike[_kind_of(node)].append(node)
    found: list[Node] = []
    for node in nodes:
        kind = _kind_of(node)
        members = alike[kind]
        if len(members) <= ALIKE_MAX or kind.rstrip("/") == node.name:
            found.append(node)
        elif node is members[0]:
            found += _gathered(kind.rstrip("/"), f"{path}/{kind}", members, asked)
    return found


def _kind_of(node: Node) -> str:
    """What those that are alike have in common; a Step and a scope are not alike."""
    return pattern_of(node.name) + ("" if node.step else "/")


def _gathered(name: str, path: str, members: Sequence[Node], asked: str) -> Iterator[Node]:
    """One node for all that went well or go on, then those that broke."""
    others = [one for one in members if one.state not in BROKEN]
    if len(others) > 1:
        is_open = any(asked == one.path or asked.startswith(f"{one.path}/") for one in others)
        yield Node(name, path, children=others, is_many=True, is_open=is_open)
    else:
        yield from others
    yield from (one for one in members if one.state in BROKEN)


def _state_of(step: StepRow, attempts: Sequence[AttemptRow]) -> str:
    if step.state != "running":
        return step.state
    if step.kind in ("gate", "wait", "sleep"):
        return "waiting"
    last = attempts[-1].state if attempts else ""
    return last if last in ("queued", "running") else step.state


def _note(step: StepRow, attempts: Sequence[AttemptRow]) -> str:
    """What is worth saying of a Step in half a line."""
    if step.recalled_from == SUPPOSED:
        return "not done: taken to have succeeded"
    if step.recalled_from:
        return f"recalled from run {step.recalled_from}"
    if step.kind == "gate" and step.state == "succeeded":
        return _opened_by(_decoded(step.value_json))
    if step.kind == "call":
        return _decoded(step.error_json)["message"] if step.error_json else ""
    if step.kind == "job":
        return attempts[-1].message if attempts else ""
    if step.error_json is not None:
        return msgspec.json.decode(step.error_json, type=Failure).message
    if step.value_json is None:
        return ""
    text = step.value_json
    if _decoded(text) == SENSITIVE:
        return SENSITIVE
    return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 1] + "…"


def _opened_by(value: object) -> str:
    if not isinstance(value, Mapping):
        return ""
    inputs = ", ".join(f"{name} = {said}" for name, said in value.get("inputs", {}).items())
    by = ", ".join(value.get("by", []))
    said = f"approved by {by}" if by else "opened by its timeout"
    comment = value.get("comment") or ""
    return " · ".join(part for part in (said, inputs, comment) if part)


def _decoded(text: str | None) -> Any:  # noqa: ANN401 whatever was stored
    return None if text is None else msgspec.json.decode(text)
