"""StepGraph: what followed what in a Run, as its History tells it. Pure.

Theory of operation. A History does not hold the plan's code; it says in which Turn each Step was
asked for, and when each settled. A Step follows what settled in the very Turn that asked for it
(that is what the plan was waiting for), and whatever settled before and has nothing behind it yet:
the other branches of a parallel part that is joined here. A loose end of another scope than the
Step's (`us/build` for `eu/deploy`) is left to its own. Edges lead from earlier to later rows only,
so there are no rounds. Many Steps of one layer that are alike by their names are one node.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import groupby
from typing import Protocol

from ci_host.web.step_groups import pattern_of

# So many of one layer that are alike are one node.
ALIKE_MIN = 4
ALL = "all"
# More lines than that nobody can follow, and no page should carry.
EDGES_MAX = 2_000


class GraphStep(Protocol):
    """What is to be known of a Step: a row of the read model, or one that is only planned."""

    @property
    def key(self) -> str:
        """Its name in its Run."""

    @property
    def state(self) -> str:
        """As it is now."""

    @property
    def turn(self) -> int:
        """The Turn that asked for it."""

    @property
    def started_at(self) -> float:
        """When that was."""

    @property
    def finished_at(self) -> float | None:
        """When it settled."""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A Step, or (with `name`) several that are alike"""

    id: str
    layer: int
    steps: tuple[GraphStep, ...]
    name: str = ""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many are in which state."""
        return Counter(step.state for step in self.steps)


@dataclass(frozen=True, slots=True)
class StepGraph:
    """`edges` are pairs of node ids, from a lower layer to a higher."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[tuple[str, str], ...]


def graph_of(steps: Sequence[GraphStep], opened: Collection[str] = ()) -> StepGraph:
    """The Steps in the order in which the plan asked for them; `opened` groups one by one, unless
    that makes more than EDGES_MAX edges."""
    before = followed_by(steps)
    layers: dict[str, int] = {}
    for step in steps:
        layers[step.key] = 1 + max((layers[one] for one in before[step.key]), default=-1)
    nodes = _nodes(steps, layers, opened)
    of_key = {step.key: node.id for node in nodes for step in node.steps}
    edges = dict.fromkeys(
        (of_key[one], of_key[key]) for key, ones in before.items() for one in ones
    )
    if len(edges) > EDGES_MAX and opened:
        return graph_of(steps)
    return StepGraph(tuple(nodes), tuple(edges)[:EDGES_MAX])


def followed_by(steps: Sequence[GraphStep]) -> dict[str, list[str]]:
    """Of each Step's key, the keys of those that it followed."""
    found: dict[str, list[str]] = {}
    going: list[tuple[float, int, str]] = []
    loose: dict[str, None] = {}
    at_once: dict[float, dict[str, None]] = defaultdict(dict)
    last = ""
    for _, group in groupby(steps, lambda one: one.turn):
        taken: set[str] = set()
        for number, step in enumerate(group):
            while going and going[0][0] <= step.started_at:
                at, _, last = heappop(going)
                loose[last] = at_once[at][last] = None
            causes = at_once[step.started_at]
            near = [one for one in loose if one not in causes and _is_near(one, step.key)]
            found[step.key] = [*causes, *near] or ([last] if last else [])
            taken.update(found[step.key])
            if step.finished_at is not None:
                heappush(going, (step.finished_at, number, step.key))
            if step.finished_at == step.started_at:
                # What took no time was over before the plan asked for the next.
                at_once[step.started_at].clear()
                _drop(loose, taken)
        _drop(loose, taken)
    return found


def _drop(loose: dict[str, None], taken: set[str]) -> None:
    for key in taken:
        loose.pop(key, None)


def _is_near(one: str, other: str) -> bool:
    """Whether one's scope is the other's, or holds it."""
    a, b = one.rpartition("/")[0], other.rpartition("/")[0]
    return a == b or not a or not b or f"{a}/".startswith(f"{b}/") or f"{b}/".startswith(f"{a}/")


def _nodes(
    steps: Sequence[GraphStep], layers: Mapping[str, int], opened: Collection[str]
) -> list[GraphNode]:
    alike: dict[tuple[int, str], list[GraphStep]] = defaultdict(list)
    for step in steps:
        alike[layers[step.key], pattern_of(step.key)].append(step)
    nodes = []
    for (layer, name), found in alike.items():
        if len(found) >= ALIKE_MIN and name not in opened and ALL not in opened:
            nodes.append(GraphNode(f"{layer} {name}", layer, tuple(found), name))
        else:
            nodes += [GraphNode(step.key, layer, (step,)) for step in found]
    return nodes
