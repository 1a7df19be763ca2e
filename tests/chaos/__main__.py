"""`make chaos`: a long trial of a real installation, on one nats-server or a cluster of three."""

import argparse
import asyncio
import logging
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import structlog

from tests.chaos.crowd import Wishes
from tests.chaos.reaper import Pace
from tests.chaos.trial import Plan, open_trial

SECONDS_DEFAULT = 60.0
STARTS_PER_S = 1.0
AT_ONCE = 200
FREEZES_PERCENT = 25
FLAWS_SHOWN = 40


def main() -> int:
    """Conduct the trial and print its verdict. 0 only if there is nothing to find fault with."""
    options = _options()
    # A bus that is gone is no news here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    plan = _plan(options.seed, options.seconds, is_cluster=options.cluster)
    where = "three nats-servers, each message on all" if options.cluster else "one nats-server"
    again = (
        f"make chaos FOR={options.seconds:g} SEED={options.seed}" + " CLUSTER=1" * options.cluster
    )
    _say(f"{plan.wishes.runs} runs and their children on {where}; again with: {again}")
    folder = Path(tempfile.mkdtemp(prefix="staunch-chaos-"))
    with open_trial(plan, folder, _say) as trial:
        verdict = asyncio.run(trial.conduct())
    for flaw in verdict.flaws[:FLAWS_SHOWN]:
        print(f"  {flaw.kind} {flaw.whose}: {flaw.what}")
    print(verdict)
    if verdict.flaws:
        print(f"everything is kept in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


def _plan(seed: int, seconds: float, *, is_cluster: bool) -> Plan:
    starts = max(30, int(seconds * STARTS_PER_S))
    wishes = Wishes(pushes=4, starts=starts, at_once=min(AT_ONCE, starts // 2))
    every_s = (1.0, 6.0) if is_cluster else (0.3, 3.0)
    return Plan(
        seed,
        seconds,
        wishes,
        Pace(every_s, FREEZES_PERCENT),
        is_cluster=is_cluster,
        calm_s=max(120.0, seconds / 2),
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--for", dest="seconds", type=float, default=SECONDS_DEFAULT)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--cluster", action="store_true")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
