"""One Run of our own while the image is built: what a first use makes Python build stays built."""

import json
import linecache
from collections.abc import Callable

from pipelines.guest.exports import Exports

_PIPELINE = """
import asyncio
import dataclasses
import datetime
import enum
import json
import re

from staunch import JobFailed, Retry, on, run_timeout

on.push(branches=["main"])
run_timeout("1d")


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    level: Level = Level.LOW
    options: dict[str, str] = dataclasses.field(default_factory=dict)


VERSION = re.compile(r"v(?P<major>\\d+)\\.(\\d+)")


def describe(text):
    match text:
        case str() if VERSION.match(text):
            return json.dumps({"text": text, "at": str(datetime.timedelta(seconds=3))})
        case _:
            raise ValueError(text)


async def wait():
    await asyncio.sleep(0)
    return 1


async def undo(step, result):
    print(result)


async def run(event, step):
    print("warm", event.branch, Target("x", Level.HIGH))
    await step.do("describe", describe, "v1.2", rollback=undo)
    try:
        await step.do("fail", describe, "x", retries=Retry(0))
    except ValueError:
        pass
    async with asyncio.TaskGroup() as group:
        group.create_task(wait())
        task = group.create_task(step.job("a", run="true"))
    try:
        async with asyncio.timeout(5):
            await step.parallel(step.job("b", run=["false"]), step.sleep("nap", "1h"))
    except (JobFailed, TimeoutError) as error:
        print(error)
    answer = await step.gate("go", approvers=["ann"], inputs={"percent": int}, timeout="1d")
    await step.scope("eu").do("wait", wait)
    return await step.wait_for_event("signal", timeout="2h")
"""

_FILE = ".staunch/warm_up_pipeline.py"

_INPUTS = [
    (
        1.0,
        {
            "type": "run_started",
            "run": "0-0",
            "repo_name": "warm/up",
            "event": {"kind": "push", "ref": "refs/heads/main", "commit": "0"},
        },
    ),
    (2.0, {"type": "job_finished", "key": "a", "attempt": 1, "outcome": "succeeded"}),
    (
        3.0,
        {"type": "job_finished", "key": "b", "attempt": 1, "outcome": "failed", "exit_code": 1},
    ),
    (4.0, {"type": "gate_answered", "key": "go", "approved": True, "by": "ann",
           "inputs": {"percent": 5}}),
    (5.0, {"type": "signal_sent", "id": "1", "name": "signal", "payload": {"a": [1, 2.5]}}),
]  # fmt: skip


def warm_up(fresh: Callable[[], Exports]) -> None:
    """Prepare, load and move one pipeline in instances made by `fresh`, and leave nothing."""
    first = fresh()
    prepared = json.loads(first.prepare(json.dumps({"files": {_FILE: _PIPELINE}})))
    assert "error" not in prepared["pipelines"][0], prepared["pipelines"][0]
    _leave(first)
    second = fresh()
    second.load(f"{_FILE}\n{prepared['code']}")
    second.start(json.dumps({"run": "0-0", "seed": "warm", "at": 1.0}))
    for seq, (at, body) in enumerate(_INPUTS):
        turn = {"inputs": [{"seq": seq, "at": at, "body": body}], "memo": None}
        outcome = json.loads(second.advance(json.dumps({"turns": [turn]})))["turns"][0]
    assert outcome["end"]["state"] == "succeeded", outcome
    _leave(second)
    linecache.clearcache()


def _leave(exports: Exports) -> None:
    assert exports.modules is not None, "it has loaded something"
    exports.modules.uninstall()
