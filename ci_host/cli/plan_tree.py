"""Plan tree: what would run, as a tree in a terminal, in the order in which it is asked for."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import cast

from rich.tree import Tree

from ci_host.cli.plain import escape
from ci_host.cli.plan_words import commands_of, facts_of, hint_of
from ci_host.testkit.planned import PlannedRun, PlannedStep
from ci_host.web.step_graph import GraphNode, graph_of

NODES_SHOWN_MAX = 200
COMMANDS_SHOWN_MAX = 6
NAMES_SHOWN_MAX = 4
_MARKS = {"failed": "[red]✗[/]", "timed_out": "[red]✗[/]", "cancelled": "[yellow]-[/]"}
_KINDS = {"gate": "yellow", "sleep": "blue", "wait": "yellow", "call": "magenta", "job": "cyan"}


def tree_of(run: PlannedRun, heading: str) -> Tree:
    """The Run with all that it calls."""
    tree = Tree(heading, guide_style="dim", highlight=False)
    _hang(tree, run)
    return tree


def _hang(tree: Tree, run: PlannedRun) -> None:
    graph = graph_of(run.steps)
    before: dict[str, list[str]] = defaultdict(list)
    names = {node.id: node.name or node.steps[0].key for node in graph.nodes}
    for one, other in graph.edges:
        before[other].append(names[one])
    last = ""
    for node in _in_order(graph.nodes, run.steps)[:NODES_SHOWN_MAX]:
        needs = before[node.id]
        _add(tree, node, [] if needs == [last] else needs)
        last = names[node.id]
    if len(graph.nodes) > NODES_SHOWN_MAX:
        tree.add(f"[dim]… {len(graph.nodes) - NODES_SHOWN_MAX} more; --json has them[/]")
    for line in run.printed.splitlines()[:COMMANDS_SHOWN_MAX]:
        tree.add(f"[dim]prints {escape(line)}[/]")
    tree.add(_end(run))


def _in_order(nodes: Sequence[GraphNode], steps: Sequence[PlannedStep]) -> list[GraphNode]:
    places = {step.key: number for number, step in enumerate(steps)}
    return sorted(nodes, key=lambda node: places[node.steps[0].key])


def _add(tree: Tree, node: GraphNode, needs: Sequence[str]) -> None:
    steps = cast("tuple[PlannedStep, ...]", node.steps)
    first = steps[0]
    mark = next((_MARKS[one.state] for one in steps if one.state in _MARKS), "[dim]○[/]")
    kind = f"[{_KINDS.get(first.kind, 'dim')}]{first.kind}[/]"
    many = f" [bold]({len(steps)})[/]" if node.name else ""
    line = f"{mark} [bold]{escape(node.name or first.key)}[/]{many} {kind}"
    facts = [escape(fact) for fact in _common(steps)]
    if needs:
        more = f" and {len(needs) - NAMES_SHOWN_MAX} more" if len(needs) > NAMES_SHOWN_MAX else ""
        facts.insert(0, f"after {escape(', '.join(needs[:NAMES_SHOWN_MAX]))}{more}")
    branch = tree.add(line + (f" [dim]{' · '.join(facts)}[/]" if facts else ""))
    if node.name:
        named = [escape(one.key) for one in steps[:NAMES_SHOWN_MAX]]
        rest = ["…"] if len(steps) > NAMES_SHOWN_MAX else []
        branch.add(f"[dim]{', '.join([*named, *rest])}[/]")
    for text in _shown(commands_of(first)):
        branch.add(f"[dim]$[/] {escape(text)}")
    if first.child is not None:
        _hang(branch, first.child)


def _common(steps: Sequence[PlannedStep]) -> list[str]:
    """What all of them have; of what differs, the first's, marked so."""
    if len(steps) == 1:
        return list(facts_of(steps[0]))
    others = [set(facts_of(one)) for one in steps[1:]]
    return [
        fact if all(fact in one for one in others) else f"{fact}, …" for fact in facts_of(steps[0])
    ]


def _shown(commands: Sequence[str]) -> list[str]:
    lines = [line for text in commands for line in text.strip().splitlines()]
    rest = len(lines) - COMMANDS_SHOWN_MAX
    return lines[:COMMANDS_SHOWN_MAX] + ([f"… {rest} lines more"] if rest > 0 else [])


def _end(run: PlannedRun) -> str:
    if run.stopped:
        return f"[yellow]not known further: {escape(run.stopped)}[/]"
    if run.failure is not None:
        where = f" ({run.failure.where()})" if run.failure.where() else ""
        said = f"[red]{run.state}[/]: {escape(run.failure.type)}: {escape(run.failure.message)}"
        hint = hint_of(run)
        return f"{said}{escape(where)}" + (f"\n[yellow]{escape(hint)}[/]" if hint else "")
    colours: Mapping[str, str] = {"succeeded": "green", "continued": "blue"}
    colour = colours.get(run.state, "yellow")
    more = "; the run that it goes on as is not shown" if run.state == "continued" else ""
    return f"[{colour}]{run.state}[/]{more}"
