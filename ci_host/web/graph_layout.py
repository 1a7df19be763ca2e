"""GraphLayout: where the nodes of a StepGraph stand, and how the lines between them run. Pure.

Layers are columns from left to right and are known, so what is left of drawing a layered graph is
the order within each column: that of the plan, then by where the neighbours stand, some times to
and fro. See decision 0054.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ci_host.web.step_graph import GraphNode, StepGraph

NODE_WIDTH, NODE_HEIGHT = 190, 44
GAP_X, GAP_Y = 56, 14
MARGIN = 12
SWEEPS = 4


@dataclass(frozen=True, slots=True)
class PlacedNode:
    """A node and its upper left corner, in pixels."""

    node: GraphNode
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Layout:
    """`lines` are SVG paths."""

    nodes: tuple[PlacedNode, ...]
    lines: tuple[str, ...]
    width: int
    height: int


def layout_of(graph: StepGraph) -> Layout:
    """Columns by layer, each in the middle of the height."""
    columns = _ordered(graph)
    tallest = max((len(column) for column in columns), default=0)
    height = tallest * (NODE_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    placed = {}
    for number, column in enumerate(columns):
        x = MARGIN + number * (NODE_WIDTH + GAP_X)
        top = (height - (len(column) * (NODE_HEIGHT + GAP_Y) - GAP_Y)) // 2
        for place, node in enumerate(column):
            placed[node.id] = PlacedNode(node, x, top + place * (NODE_HEIGHT + GAP_Y))
    lines = tuple(_line(placed[one], placed[other]) for one, other in graph.edges)
    width = len(columns) * (NODE_WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    return Layout(tuple(placed.values()), lines, max(width, 0), max(height, 0))


def _ordered(graph: StepGraph) -> list[list[GraphNode]]:
    columns: list[list[GraphNode]] = []
    for node in sorted(graph.nodes, key=lambda one: one.layer):
        if len(columns) <= node.layer:
            columns.append([])
        columns[-1].append(node)
    before, behind = defaultdict(list), defaultdict(list)
    for one, other in graph.edges:
        before[other].append(one)
        behind[one].append(other)
    for sweep in range(SWEEPS):
        is_forth = sweep % 2 == 0
        places = {node.id: _place(i, column) for column in columns for i, node in enumerate(column)}
        for column in columns if is_forth else reversed(columns):
            _sort(column, before if is_forth else behind, places)
            places |= {node.id: _place(i, column) for i, node in enumerate(column)}
    return columns


def _place(index: int, column: Sequence[GraphNode]) -> float:
    """Seen from the middle of the column."""
    return index - (len(column) - 1) / 2


def _sort(
    column: list[GraphNode], neighbours: Mapping[str, Sequence[str]], places: Mapping[str, float]
) -> None:
    def middle(node: GraphNode) -> float:
        around = neighbours.get(node.id, ())
        if not around:
            return places[node.id]
        return sum(places[one] for one in around) / len(around)

    column.sort(key=middle)


def _line(one: PlacedNode, other: PlacedNode) -> str:
    begin, end = one.x + NODE_WIDTH, other.x
    y, there = one.y + NODE_HEIGHT // 2, other.y + NODE_HEIGHT // 2
    bend = min((end - begin) // 2, GAP_X)
    straight = end - GAP_X
    if straight > begin:
        return (
            f"M{begin} {y}C{begin + bend} {y} {begin + bend} {there} {begin + GAP_X} {there}H{end}"
        )
    return f"M{begin} {y}C{begin + bend} {y} {end - bend} {there} {end} {there}"
