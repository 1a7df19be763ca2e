"""Restate's server with a Python service, in their own environment: the same workloads as ours.

Usage: `python restate_peer.py <ingress url> <admin url> <service port> <runs in parallel>`. Prints
the raw samples as JSON, one line a figure. Knows nothing of Staunch.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Awaitable

import httpx
import hypercorn.asyncio
import hypercorn.config
import restate

CREATIONS = 120
SIGNALS = 60

steps = restate.Workflow("steps")
waiting = restate.Workflow("waiting")


@steps.main("run")
async def run_steps(ctx: restate.WorkflowContext, count: int) -> int:
    total = 0
    for number in range(count):
        total += await ctx.run_typed("echo", lambda n=number: n)
    return total


@waiting.main("run")
async def run_waiting(ctx: restate.WorkflowContext, _: int) -> int:
    said = await ctx.promise("go").value()
    return int(await ctx.run_typed("echo", lambda: said))


@waiting.handler("go")
async def go(ctx: restate.WorkflowSharedContext, said: int) -> None:
    await ctx.promise("go").resolve(said)


def say(figure: str, unit: str, samples: list[float], **settings: object) -> None:
    print(json.dumps({"id": figure, "unit": unit, "samples": samples, **settings}), flush=True)


async def took(action: Awaitable[object]) -> float:
    began = time.perf_counter()
    await action
    return time.perf_counter() - began


class Bench:
    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.serial = 0

    async def call(self, path: str, body: object) -> object:
        answer = await self.http.post(path, json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def steps(self, count: int) -> None:
        self.serial += 1
        await self.call(f"/steps/{time.time_ns()}-{self.serial}/run", count)

    async def many(self, runs: int, count: int) -> None:
        await asyncio.gather(*(self.steps(count) for _ in range(runs)))

    async def resumed(self, number: int) -> float:
        name = f"{time.time_ns()}-{number}"
        ended = asyncio.create_task(self.call(f"/waiting/{name}/run", 0))
        # It has to wait before it is told; there is nothing to ask for that.
        await asyncio.sleep(0.1)
        began = time.perf_counter()
        await self.call(f"/waiting/{name}/go", number)
        await ended
        return (time.perf_counter() - began) * 1e3


async def main() -> None:
    ingress, admin, port, runs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    logging.disable(logging.CRITICAL)
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    over = asyncio.Event()
    app = restate.app([steps, waiting])
    serving = asyncio.create_task(
        hypercorn.asyncio.serve(app, config, shutdown_trigger=over.wait)  # type: ignore[arg-type]
    )
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=ingress, timeout=120, limits=limits) as http:
        uri = {"uri": f"http://127.0.0.1:{port}"}
        (await http.post(f"{admin}/deployments", json=uri)).raise_for_status()
        bench = Bench(http)
        await bench.steps(10)
        times = [await took(bench.steps(100)) for _ in range(5)]
        say("step.do.100", "steps/s", [100 / t for t in times])
        say("step.do.50x20", "steps/s", [runs * 20 / await took(bench.many(runs, 20))], runs=runs)
        samples = [await took(bench.steps(1)) * 1e3 for _ in range(CREATIONS)]
        say("run.create_complete", "ms", samples[20:])
        say("signal.resume", "ms", [await bench.resumed(n) for n in range(SIGNALS)][10:])
    over.set()
    await serving


if __name__ == "__main__":
    asyncio.run(main())
