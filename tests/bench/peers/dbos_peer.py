"""DBOS, in its own environment: the same workloads as ours, in one process with its database.

Usage: `python dbos_peer.py <settings> <database url> <runs in parallel>`. Prints the raw samples
as JSON, one line a figure. Knows nothing of Staunch.
"""

import json
import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS

CREATIONS = 120
SIGNALS = 25


@DBOS.step()
def echo(number: int) -> int:
    return number


@DBOS.workflow()
def steps(count: int) -> int:
    return sum(echo(number) for number in range(count))


@DBOS.workflow()
def waiting() -> object:
    said = DBOS.recv("go", timeout_seconds=60)
    return echo(said)


def say(figure: str, unit: str, samples: list[float], **settings: object) -> None:
    print(json.dumps({"id": figure, "unit": unit, "samples": samples, **settings}), flush=True)


def took(action: object, *given: object) -> float:
    began = time.perf_counter()
    action(*given)  # type: ignore[operator]
    return time.perf_counter() - began


def many(runs: int, count: int) -> None:
    with ThreadPoolExecutor(runs) as pool:
        list(pool.map(steps, [count] * runs))


def resumed(number: int) -> float:
    handle = DBOS.start_workflow(waiting)
    # It has to wait before it is told; there is nothing to ask for that.
    threading.Event().wait(0.15)
    began = time.perf_counter()
    DBOS.send(handle.get_workflow_id(), number, "go")
    handle.get_result()
    return (time.perf_counter() - began) * 1e3


def main() -> None:
    url, runs = sys.argv[1], int(sys.argv[2])
    logging.disable(logging.CRITICAL)
    DBOS(config={"name": "bench", "system_database_url": url, "run_admin_server": False})
    DBOS.launch()
    steps(10)
    say("step.do.100", "steps/s", [100 / took(steps, 100) for _ in range(5)])
    many(runs, 2)
    say("step.do.50x20", "steps/s", [runs * 20 / took(many, runs, 20)], runs=runs)
    say("run.create_complete", "ms", [took(steps, 1) * 1e3 for _ in range(CREATIONS)][20:])
    say("signal.resume", "ms", [resumed(n) for n in range(SIGNALS)][5:])
    DBOS.destroy()


if __name__ == "__main__":
    main()
