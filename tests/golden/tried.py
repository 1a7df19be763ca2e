"""Tried: a Run of which one step is done and all others are supposed, played with an engine.

Simulated Runs have none: what comes of them is the script's, and of these it is the supposed.
"""

from pathlib import Path

from ci_host.adapters.memory.world import MemoryBundles
from ci_host.ports import StoredHistory
from pipelines.export import Export, ExportedInput, ExportedTurn
from pipelines.ids import Digest
from pipelines.supposed import Supposed
from tests.engine.world import finished, memory_world, until

PLAN = """
from staunch import *

async def run(event, step):
    built = await step.job("build", run="make", artifacts={"dist": "dist"})
    label = await step.do("label", lambda: "v" + built.outputs["version"])
    unit = await step.job("unit", run="make test", env={"LABEL": label})
    answer = await step.gate("go", approvers=["@ops", "ada"], needed=2, inputs={"percent": int})
    await step.sleep("soak", "2h")
    said = await step.wait_for_event("ready", match={"build.ok": True})
    which = await step.wait_for_event("either", event=["one", "two"])
    note = await step.call("notes", "notes")
    return [label, unit.exit_code, answer.inputs, said, which.event, note]
"""
BESIDE = {"notes": "async def run(event, step):\n    return 1\n"}
ONLY = Supposed(only=["unit"], values={"build": {"version": "1.2"}, "go": {"percent": 50}})


async def tried(folder: Path) -> Export:
    """It, from its begin to its end, as it would be exported."""
    async with memory_world(folder) as world:
        run = await world.begin(PLAN, "tried", BESIDE, supposed=ONLY)
        await until(lambda: world.jobs.offers)
        await world.history.append_input(run, finished(run, "unit"))
        await world.ended(run)
        return await exported(await world.history.read(run), world.bundles)


async def exported(stored: StoredHistory, bundles: MemoryBundles) -> Export:
    """A Run's record with its Bundle."""
    inputs = [ExportedInput(one.sequence, one.at, one.input) for one in stored.inputs]
    turns = [ExportedTurn(one.sequence, one.turn) for one in stored.turns]
    started = Export(None, inputs).started  # type: ignore[arg-type]
    return Export(await bundles.get(Digest(started.bundle)), inputs, turns)
