"""Plan drawing: what would run as an SVG file, the graph of each pipeline below the one before.

It stands alone: styles are in it, for light and dark, and neither scripts nor links.
"""

from collections.abc import Iterator, Sequence
from typing import cast
from xml.sax.saxutils import escape

from ci_host.cli.plan_words import commands_of, facts_of
from ci_host.testkit.planned import PlannedRun, PlannedStep
from ci_host.web.graph_layout import NODE_HEIGHT, NODE_WIDTH, PlacedNode, layout_of
from ci_host.web.step_graph import graph_of

MARGIN, HEADING = 16, 30
NAME_CHARS, FACT_CHARS, TITLE_CHARS = 24, 27, 2_000
# About what a character of the headings is wide, so that none is cut off.
CHAR_WIDTH = 7.2
# Kinds of steps whose facts do not say what they are.
NAMED = frozenset({"gate", "sleep"})
BROKEN = frozenset({"failed", "timed_out"})
STYLE = """
svg{font-family:system-ui,sans-serif;background:#fff}
text{fill:#1b1f24}
.h{font-size:15px;font-weight:600}.d,.f{font-size:11.5px;fill:#57606a}
.n{font-size:13px;font-weight:600}
rect{fill:#f6f8fa;stroke:#8c959f;stroke-width:1.2}
.job rect{fill:#eaf4ff;stroke:#3b82c4}
.gate rect,.wait rect,.sleep rect{fill:#fff8e5;stroke:#b7791f;stroke-dasharray:5 3}
.call rect{fill:#f5efff;stroke:#8250df}
.bad rect{fill:#ffecea;stroke:#c2261c;stroke-width:2}
path{fill:none;stroke:#8c959f;stroke-width:1.3}
@media (prefers-color-scheme:dark){
svg{background:#0d1117}text{fill:#e6edf3}.d,.f{fill:#9198a1}
rect{fill:#161b22;stroke:#6e7681}.job rect{fill:#10233a;stroke:#58a6ff}
.gate rect,.wait rect,.sleep rect{fill:#2b2111;stroke:#d29922}
.call rect{fill:#21163a;stroke:#ab7df8}.bad rect{fill:#3a1513;stroke:#f85149}
path{stroke:#6e7681}}
"""


def svg_of(runs: Sequence[PlannedRun], title: str, supposed: str) -> str:
    """The whole file."""
    parts: list[str] = []
    width, y = _wide(title, supposed), MARGIN + 2 * HEADING
    for name, run in _all(runs):
        drawn, right, height = _run(run, name, y)
        parts += drawn
        width, y = max(width, right), y + height
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + MARGIN}"'
        f' viewBox="0 0 {width} {y + MARGIN}" role="img" aria-labelledby="t d">'
        f'<title id="t">{_safe(title)}</title><desc id="d">{_safe(supposed)}</desc>'
        f"<style>{STYLE}</style>"
        f'<text class="h" x="{MARGIN}" y="{MARGIN + 14}">{_safe(title)}</text>'
        f'<text class="d" x="{MARGIN}" y="{MARGIN + 34}">{_safe(supposed)}</text>'
    )
    return "\n".join([head, *parts, "</svg>", ""])


def _all(runs: Sequence[PlannedRun], above: str = "") -> Iterator[tuple[str, PlannedRun]]:
    """Each with its name, and behind it what it calls."""
    for run in runs:
        yield f"{run.entry.name}{above}", run
        for step in run.steps:
            if step.child is not None:
                yield from _all([step.child], f", called by step {step.key} of {run.entry.name}")


def _run(run: PlannedRun, name: str, top: int) -> tuple[list[str], int, int]:
    """(SVG, how far to the right it goes, height)."""
    layout = layout_of(graph_of(run.steps))
    end = run.state if not run.stopped else f"not known further: {run.stopped}"
    said = f"{name}: {end}"
    if run.failure is not None:
        said = f"{said}, {run.failure.message}"
    said = _cut(" ".join(said.split()), 160)
    parts = [f'<text class="h" x="{MARGIN}" y="{top + 16}">{_safe(said)}</text>']
    parts.append(f'<g transform="translate({MARGIN} {top + HEADING})">')
    parts += [f'<path d="{line}"/>' for line in layout.lines]
    parts += [_node(placed) for placed in layout.nodes]
    parts.append("</g>")
    right = max(layout.width + 2 * MARGIN, _wide(said))
    return parts, right, layout.height + 2 * HEADING


def _node(placed: PlacedNode) -> str:
    node = placed.node
    steps = cast("tuple[PlannedStep, ...]", node.steps)
    first = steps[0]
    looks = str(first.kind) + (" bad" if any(one.state in BROKEN for one in steps) else "")
    name = node.name or first.key
    fact = f"{len(steps)} steps" if node.name else _fact(first)
    x, y = placed.x, placed.y
    stack = (
        f'<rect x="{x + 4}" y="{y + 4}" width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="8"/>'
        if node.name
        else ""
    )
    return (
        f'<g class="{looks}"><title>{_safe(_title(name, steps))}</title>{stack}'
        f'<rect x="{x}" y="{y}" width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="8"/>'
        f'<text class="n" x="{x + 12}" y="{y + 19}">{_safe(_cut(name, NAME_CHARS))}</text>'
        f'<text class="f" x="{x + 12}" y="{y + 35}">{_safe(_cut(fact, FACT_CHARS))}</text></g>'
    )


def _fact(step: PlannedStep) -> str:
    lines = "; ".join(commands_of(step)).strip().splitlines()
    if lines:
        return f"$ {lines[0]}"
    said = " · ".join(facts_of(step))
    return f"{step.kind} {said}" if step.kind in NAMED or not said else said


def _title(name: str, steps: Sequence[PlannedStep]) -> str:
    first = steps[0]
    keys = [one.key for one in steps] if len(steps) > 1 else []
    said = [f"{first.kind} {name}", *keys, *facts_of(first)]
    said += [f"$ {command}" for command in commands_of(first)]
    return _cut("\n".join(said), TITLE_CHARS)


def _wide(*texts: str) -> int:
    return round(max(map(len, texts)) * CHAR_WIDTH) + 2 * MARGIN


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


def _safe(text: str) -> str:
    """Text of an XML file, which has no place for control characters however they are put."""
    return escape("".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in text))
