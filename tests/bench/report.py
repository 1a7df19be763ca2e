"""Report: the one form in which a figure is printed, and the statistics behind it."""

import json
import statistics
from collections.abc import Sequence

SETTINGS = {"sync_interval": "always"}


def spread(identity: str, unit: str, samples: Sequence[float], **settings: object) -> None:
    """A figure that was measured many times."""
    ordered = sorted(samples)
    line = {
        "id": identity,
        "unit": unit,
        "p50": _short(statistics.median(ordered)),
        "p99": _short(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]),
        "n": len(ordered),
        "settings": {**SETTINGS, **settings},
    }
    print(json.dumps(line), flush=True)


def single(identity: str, unit: str, value: float, **settings: object) -> None:
    """A figure that is one number."""
    line = {"id": identity, "unit": unit, "value": _short(value)}
    print(json.dumps({**line, "settings": {**SETTINGS, **settings}}), flush=True)


def _short(value: float) -> float:
    return float(f"{value:.4g}")
