"""Compare: the peers' figures, one after another, in the form of ours and beside them."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import report
from tests.bench.peers import place
from tests.bench.peers.engines import PEERS, NotHere, Peer

MEASURING_S = 600
FIGURES = ("step.do.100", "step.do.50x20", "run.create_complete", "signal.resume")


def measure() -> None:
    """Every peer that can be run here; what cannot is named on standard error."""
    place.install()
    for peer in PEERS:
        # A port that was free a moment ago may be somebody's now: once more, with others.
        if _tried(peer) is not None and (reason := _tried(peer)) is not None:
            print(f"{peer.name} is left out: {reason}", file=sys.stderr)


def _tried(peer: Peer) -> str | None:
    """Measure; None, or why not."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-peer-"))
    try:
        _measure(peer, folder)
    except (NotHere, subprocess.SubprocessError) as error:
        return str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return None


def _measure(peer: Peer, folder: Path) -> None:
    with peer.open(folder) as command:
        said = subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=MEASURING_S
        ).stdout
    for line in said.splitlines():
        if line.startswith("{"):
            found = json.loads(line)
            settings = {k: v for k, v in found.items() if k not in ("id", "unit", "samples")}
            settings["durability"] = peer.durability
            report.peers(peer.name, found["id"], found["unit"], found["samples"], settings)
