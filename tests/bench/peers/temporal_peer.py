"""Temporal's development server with a Python worker, in their own environment: our workloads.

Usage: `python temporal_peer.py <activity or local> <server address> <runs in parallel>`. Prints the
raw samples as JSON, one line a figure. Knows nothing of Staunch.
"""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

CREATIONS = 60
SIGNALS = 25
LIMIT = timedelta(seconds=30)
KIND = sys.argv[1] if len(sys.argv) > 1 else "activity"


@activity.defn
async def echo(number: int) -> int:
    return number


async def step(number: int) -> int:
    run = workflow.execute_activity if KIND == "activity" else workflow.execute_local_activity
    return int(await run(echo, number, start_to_close_timeout=LIMIT))


@workflow.defn
class Steps:
    @workflow.run
    async def run(self, count: int) -> int:
        return sum([await step(number) for number in range(count)])


@workflow.defn
class Waiting:
    def __init__(self) -> None:
        self.said: int | None = None

    @workflow.signal
    def go(self, said: int) -> None:
        self.said = said

    @workflow.run
    async def run(self) -> int:
        await workflow.wait_condition(lambda: self.said is not None)
        return await step(self.said or 0)


def say(figure: str, unit: str, samples: list[float], **settings: object) -> None:
    print(json.dumps({"id": figure, "unit": unit, "samples": samples, **settings}), flush=True)


async def took(action: Awaitable[object]) -> float:
    began = time.perf_counter()
    await action
    return time.perf_counter() - began


class Bench:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.serial = 0

    def begin(self, kind: type, *given: object) -> Awaitable[object]:
        self.serial += 1
        name = f"bench-{self.serial}"
        return self.client.start_workflow(kind.run, *given, id=name, task_queue="bench")  # type: ignore[attr-defined]

    async def steps(self, count: int) -> None:
        await (await self.begin(Steps, count)).result()  # type: ignore[attr-defined]

    async def many(self, runs: int, count: int) -> None:
        await asyncio.gather(*(self.steps(count) for _ in range(runs)))

    async def resumed(self, number: int) -> float:
        handle = await self.begin(Waiting)
        # It has to wait before it is told; there is nothing to ask for that.
        await asyncio.sleep(0.15)
        began = time.perf_counter()
        await handle.signal(Waiting.go, number)  # type: ignore[attr-defined]
        await handle.result()  # type: ignore[attr-defined]
        return (time.perf_counter() - began) * 1e3


async def main() -> None:
    address, runs = sys.argv[2], int(sys.argv[3])
    logging.disable(logging.CRITICAL)
    client = await Client.connect(address)
    kinds = {"workflows": [Steps, Waiting], "activities": [echo]}
    runner = UnsandboxedWorkflowRunner()
    async with Worker(client, task_queue="bench", workflow_runner=runner, **kinds):  # type: ignore[arg-type]
        bench = Bench(client)
        await bench.steps(5)
        times = [await took(bench.steps(100)) for _ in range(3)]
        say("step.do.100", "steps/s", [100 / t for t in times])
        say("step.do.50x20", "steps/s", [runs * 20 / await took(bench.many(runs, 20))], runs=runs)
        samples = [await took(bench.steps(1)) * 1e3 for _ in range(CREATIONS)]
        say("run.create_complete", "ms", samples[10:])
        say("signal.resume", "ms", [await bench.resumed(n) for n in range(SIGNALS)][5:])


if __name__ == "__main__":
    asyncio.run(main())
    # Its native worker does not survive the end of the interpreter.
    sys.stdout.flush()
    os._exit(0)
