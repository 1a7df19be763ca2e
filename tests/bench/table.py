"""`python -m tests.bench.table < bench.jsonl`: figures as tables, ours beside the peers'.

A ratio is ours to the best peer's: above 1 means that we do more in a second, or need less time.
"""

import json
import sys
from collections import defaultdict
from typing import Any

US = "Staunch"
# A peer's library is called in its own process; by HTTP and on the bus are our two ways in.
SAME = {"run.create_complete.bus": "run.create_complete"}
Lines = list[dict[str, Any]]


def main() -> None:
    """Read lines, print Markdown."""
    lines = [json.loads(text) for text in sys.stdin if text.startswith("{")]
    print("\n".join([*ours(lines), "", *beside(lines)]))


def ours(lines: Lines) -> list[str]:
    """Every figure of ours."""
    rows = ["| id | unit | p50 or value | p99 | n |", "| --- | --- | --- | --- | --- |"]
    for line in lines:
        if "peer" not in line:
            value = line.get("p50", line.get("value"))
            rows.append(
                f"| `{line['id']}` | {line['unit']} | {value:,} | {line.get('p99', '')} |"
                f" {line.get('n', '')} |"
            )
    return rows


def beside(lines: Lines) -> list[str]:
    """What peers measured too, ours first, with the ratio."""
    figures: dict[str, dict[str, float]] = defaultdict(dict)
    units = {}
    for line in lines:
        if "p50" in line:
            figures[line["id"]][line.get("peer", US)] = line["p50"]
            units[line["id"]] = line["unit"]
    for name, peers_name in SAME.items():
        if name in figures:
            theirs = {who: p50 for who, p50 in figures[peers_name].items() if who != US}
            figures[name].update(theirs)
    compared = {name: by for name, by in figures.items() if len(by) > 1 and US in by}
    peers = sorted({who for by in compared.values() for who in by} - {US})
    rows = [f"| p50 of | {US} | {' | '.join(peers)} | ratio to the best |"]
    rows.append("| --- |" + " --- |" * (len(peers) + 2))
    for name, by in compared.items():
        cells = [f"{by[peer]:,}" if peer in by else "" for peer in peers]
        rows.append(
            f"| `{name}`, {units[name]} | **{by[US]:,}** | {' | '.join(cells)} |"
            f" {_ratio(by, units[name]):.2g} |"
        )
    return rows


def _ratio(by: dict[str, float], unit: str) -> float:
    others = [value for who, value in by.items() if who != US]
    return by[US] / max(others) if unit.endswith("/s") else min(others) / by[US]


if __name__ == "__main__":
    main()
