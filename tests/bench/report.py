"""Report: the one form in which a figure is printed, and the statistics behind it."""

import json
import statistics
from collections.abc import Sequence

SETTINGS = {"sync_interval": "always"}


def spread(identity: str, unit: str, samples: Sequence[float], **settings: object) -> None:
    """A figure that was measured many times."""
    line = {"id": identity, "unit": unit, **_of(samples), "settings": {**SETTINGS, **settings}}
    print(json.dumps(line), flush=True)


def single(identity: str, unit: str, value: float, **settings: object) -> None:
    """A figure that is one number."""
    line = {"id": identity, "unit": unit, "value": _short(value)}
    print(json.dumps({**line, "settings": {**SETTINGS, **settings}}), flush=True)


def peers(peer: str, identity: str, unit: str, samples: Sequence[float], how: object) -> None:
    """A figure of somebody else, with their settings."""
    line = {"id": identity, "unit": unit, "peer": peer, **_of(samples), "settings": how}
    print(json.dumps(line), flush=True)


def _of(samples: Sequence[float]) -> dict[str, float]:
    ordered = sorted(samples)
    return {
        "p50": _short(statistics.median(ordered)),
        "p99": _short(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]),
        "n": len(ordered),
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")
