"""Intake: webhook calls in a flood, and the way from a push to a pending status on its forge."""

import asyncio
import json
import sys
import time
from urllib.parse import urlsplit

from ci_host.adapters.nats import subjects
from tests.bench import plans, report
from tests.bench.bench_installed import Bench
from tests.bench.pushing import BenchRepo, signed
from tests.demo.forge import TOKEN, RecordingForge

FLOOD_S = 30.0
CONNECTIONS = 32
PUSHES = 35


async def flood(bench: Bench) -> None:
    """As many calls as are taken for a while; all that were accepted must be on the disk after."""
    repo = await BenchRepo.make(bench.installation, bench.folder / "flood", plans.ONE_DO)
    assert bench.state is not None
    place = urlsplit(bench.state.url)
    wish = {
        "host": place.hostname,
        "port": place.port,
        "path": repo.path,
        "key": repo.key.hex(),
        "repo": str(repo.bare),
        "name": repo.name,
        "seconds": FLOOD_S,
        "connections": CONNECTIONS,
    }
    words = [sys.executable, "-m", "tests.bench.flood"]
    pipe = asyncio.subprocess.PIPE
    before = await _recorded(bench)
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe)
    out, _ = await process.communicate(json.dumps(wish).encode())
    told = json.loads(out)
    accepted = len(told["samples"])
    lost = accepted - (await _recorded(bench) - before)
    settings = {"connections": CONNECTIONS, "refused": told["refused"], "lost": lost}
    report.single("intake.rate", "deliveries/s", accepted / FLOOD_S, **settings)
    report.spread("intake.accept.flood", "ms", [one * 1e3 for one in told["samples"]], **settings)
    await _seen_to(bench)


async def _seen_to(bench: Bench) -> None:
    """How fast they are seen to, once the flood is over; what is measured next finds peace."""
    began, recorded = time.perf_counter(), await _recorded(bench)
    left = recorded - await _kept(bench, subjects.OUTCOMES)
    while recorded > await _kept(bench, subjects.OUTCOMES):
        await asyncio.sleep(0.1)
    report.single("intake.seen_to", "deliveries/s", left / (time.perf_counter() - began))


async def _recorded(bench: Bench) -> int:
    """How many deliveries are kept, in all lanes."""
    lanes = [subjects.intake_stream(lane) for lane in range(subjects.INTAKE_LANES)]
    return sum([await _kept(bench, lane) for lane in lanes])


async def _kept(bench: Bench, stream: str) -> int:
    """How many messages are in the stream."""
    answer = await bench.bus.request(f"$JS.API.STREAM.INFO.{stream}")
    return int(json.loads(answer.data)["state"]["messages"])


async def pending(bench: Bench) -> None:
    """A webhook call until the commit's pending status is at its forge."""
    with RecordingForge() as forge:
        repo = await BenchRepo.make(bench.installation, bench.folder / "told", plans.ONE_DO)
        words = ("repo", "add", str(repo.bare), "--name", repo.name, "--api-url", forge.url)
        bench.installation.staunch(*words, "--forge-token", TOKEN)
        settings = json.loads((repo.bare / "hooks" / "staunch.json").read_text())
        (repo.bare / "hooks" / "post-receive").unlink()
        repo.key = bytes.fromhex(settings["key"])
        samples = []
        for number in range(PUSHES):
            before, commit = repo.commit(f"told {number}")
            headers, body = signed(repo, [(before, commit, "refs/heads/main")])
            began = time.perf_counter()
            answer = await bench.http.post(repo.path, content=body, headers=headers)
            assert answer.status_code == 202, answer.text
            while not any(one.commit == commit for one in list(forge.told)):
                await asyncio.sleep(0.001)
            samples.append((time.perf_counter() - began) * 1e3)
        report.spread("push.pending_status", "ms", samples[5:])
