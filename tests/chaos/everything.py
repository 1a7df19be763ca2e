"""Everything: an installation whose processes die at random, and the people who use it meanwhile.

`Reaper` kills, `Crowd` starts runs, approves and signals until it is heard. What must hold in the
end is in `judgement.py`.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.chaos.plans import FILES, OUTPUTS
from tests.demo.installation import Gone, Installation
from tests.repos import Repo

PUSHES = 4
STARTS = 30
RUNS = PUSHES * len(OUTPUTS) + STARTS
KILL_EVERY_S = (0.3, 1.5)
# Engines and hosts hold the most in flight; the whole machine goes down now and then.
VICTIMS = {"host": 3, "engine-0": 4, "runner": 3, "nats-server": 3, "supervisor": 1, "all": 2}


@dataclass
class Reaper:
    """Kills processes of one installation with SIGKILL, at moments that a seed decides."""

    installation: Installation
    dice: random.Random
    killed: list[str] = field(default_factory=list)

    async def reap(self, seconds: float) -> None:
        """Kill for so long; a supervisor that is gone is started again."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # The moments themselves are the point: whatever is going on then is cut off.
            await asyncio.sleep(self.dice.uniform(*KILL_EVERY_S))
            self._kill()
            await self.revive()
        await until("a supervisor that lives", self._has_revived, 10)

    async def _has_revived(self) -> bool:
        await self.revive()
        return "supervisor" in self.installation.pids()

    def _kill(self) -> None:
        pids = self.installation.pids()
        # All at once only from a height: what is down already shows nothing new.
        there = [name for name in VICTIMS if name in pids or (name == "all" and len(pids) > 4)]
        if not there:
            return
        (victim,) = self.dice.choices(there, [VICTIMS[name] for name in there])
        for pid in pids.values() if victim == "all" else [pids[victim]]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.killed.append(victim)

    async def revive(self) -> None:
        """Start the installation again if its supervisor is gone."""
        if await asyncio.to_thread(self.installation.has_ended):
            self.installation.launch()


class Crowd:
    """Those who push, start, approve and signal; none of them gives up."""

    def __init__(self, installation: Installation, repo: Repo, dice: random.Random) -> None:
        self._repo = repo
        self._dice = dice
        token = (installation.data / "token").read_text().strip()
        self._http = httpx2.AsyncClient(
            base_url=f"{installation.url}/api/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=20,
        )
        self.started: dict[str, str] = {}
        self._pushing = asyncio.Lock()
        self._approved: set[str] = set()
        self._signalled: set[str] = set()

    async def close(self) -> None:
        await self._http.aclose()

    async def ask_runs(self, seconds: float) -> None:
        """Push and start at random moments of the given time."""
        first = self._repo.commit(FILES, "the pipelines")
        await asyncio.to_thread(self._repo.push)
        names = list(OUTPUTS)
        async with asyncio.TaskGroup() as group:
            for number in range(1, PUSHES):
                group.create_task(self._push(number, self._dice.uniform(0, seconds)))
            for number in range(STARTS):
                pipeline = names[number % len(names)]
                moment = self._dice.uniform(0, seconds)
                group.create_task(self._start(first, pipeline, f"key-{number}", moment))

    async def _push(self, number: int, after_s: float) -> None:
        await asyncio.sleep(after_s)
        async with self._pushing:
            self._repo.commit({"change.txt": f"{number}\n"}, f"change {number}")
            await asyncio.to_thread(self._repo.push)

    async def _start(self, commit: str, pipeline: str, key: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        body = {"repo": "demo/app", "commit": commit, "ref": "refs/heads/main"}
        answer = await self._insist("POST", "/runs", {**body, "pipeline": pipeline, "key": key})
        assert answer.status_code == 201, answer.text
        (self.started[key],) = answer.json()["runs"]

    async def _insist(self, method: str, path: str, body: object = None) -> httpx2.Response:
        """Ask again and again until the host answers with what is not its own trouble."""
        while True:
            with suppress(httpx2.TransportError):
                answer = await self._http.request(method, path, json=body)
                assert answer.status_code != 500, answer.text
                if answer.status_code < 500:
                    return answer
            await asyncio.sleep(0.1)

    async def listed(self) -> list[dict[str, Any]]:
        """The runs as the API lists them, newest first."""
        answer = await self._insist("GET", "/runs?limit=200")
        found: list[dict[str, Any]] = answer.json()["runs"]
        return found

    async def serve_runs(self) -> None:
        """Approve and signal whatever waits for it, until cancelled."""
        while True:
            for run in await self.listed():
                await self._serve(run)
            await asyncio.sleep(0.2)

    async def _serve(self, run: dict[str, Any]) -> None:
        identity = run["id"]
        if run["pipeline"] == "gated" and run["waiting_for"] == "gate approve":
            if identity not in self._approved:
                body = {"approved": True, "inputs": {"percent": 25}}
                answer = await self._insist("POST", f"/runs/{identity}/gates/approve", body)
                # 409: an earlier try was heard, and only its answer was lost.
                assert answer.status_code in (200, 409), answer.text
                self._approved.add(identity)
        elif run["pipeline"] == "signalled" and identity not in self._signalled:
            body = {"name": "go", "payload": {"number": 21}, "id": "the-one"}
            for _ in range(2):
                answer = await self._insist("POST", f"/runs/{identity}/signals", body)
                assert answer.status_code in (202, 409), answer.text
            self._signalled.add(identity)


async def until(what: str, look: Callable[[], Awaitable[Any]], timeout_s: float) -> Any:
    """Look (an async call) until there is something to see; Gone names `what` if there never is."""
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                found = await look()
                if found:
                    return found
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise Gone(f"waited {timeout_s:.0f} s in vain for {what}") from None
