"""workerd's built-in workflow engine, asked over HTTP: the same workloads as ours.

Usage: `python workerd_peer.py <url> <runs in parallel>`. Prints the raw samples as JSON, one line a
figure. The HTTP call is in the figures, about half a millisecond, but not in `signal.resume`, whose
time the worker takes, in whole milliseconds. Knows nothing of Staunch.
"""

import json
import sys
import time

import httpx

CREATIONS = 120
SIGNALS = 60


def say(figure: str, unit: str, samples: list[float], **settings: object) -> None:
    print(json.dumps({"id": figure, "unit": unit, "samples": samples, **settings}), flush=True)


def main() -> None:
    url, runs = sys.argv[1], int(sys.argv[2])
    with httpx.Client(base_url=url, timeout=120) as http:

        def took(path: str) -> float:
            began = time.perf_counter()
            http.get(path).raise_for_status()
            return time.perf_counter() - began

        took("/steps?count=10")
        say("step.do.100", "steps/s", [100 / took("/steps?count=100") for _ in range(5)])
        many = runs * 20 / took(f"/steps?count=20&runs={runs}")
        say("step.do.50x20", "steps/s", [many], runs=runs)
        samples = [took("/steps?count=1") * 1e3 for _ in range(CREATIONS)]
        say("run.create_complete", "ms", samples[20:])
        say("signal.resume", "ms", [http.get("/resume").json() for _ in range(SIGNALS)][10:])


if __name__ == "__main__":
    main()
