"""Crowd: those who push, start, approve and signal while everything dies; none of them gives up."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.chaos.plans import FILES, PUSHED
from tests.demo.installation import Installation
from tests.repos import Repo

PAGE = 200


@dataclass(frozen=True)
class Wishes:
    """How much is asked for: pushes, each of which begins every pipeline that a push begins, and
    starts by hand, of which so many come at once in the first moment."""

    pushes: int = 4
    starts: int = 30
    at_once: int = 0

    @property
    def runs(self) -> int:
        """How many runs that makes, children aside."""
        return self.pushes * len(PUSHED) + self.starts


class Crowd:
    """Asks for runs and serves them. `started`: the run that each start was answered with."""

    def __init__(
        self, installation: Installation, repo: Repo, dice: random.Random, wishes: Wishes
    ) -> None:
        self._repo = repo
        self._dice = dice
        self.wishes = wishes
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
        names = list(PUSHED)
        async with asyncio.TaskGroup() as group:
            for number in range(1, self.wishes.pushes):
                group.create_task(self._push(number, self._dice.uniform(0, seconds)))
            for number in range(self.wishes.starts):
                pipeline = names[number % len(names)]
                moment = self._dice.uniform(0, seconds) * (number >= self.wishes.at_once)
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

    async def listed(self, state: str = "") -> list[dict[str, Any]]:
        """The runs as the API lists them, newest first, page by page."""
        found: list[dict[str, Any]] = []
        before = ""
        while True:
            page = f"/runs?limit={PAGE}&state={state}{before}"
            answer = (await self._insist("GET", page)).json()
            found += answer["runs"]
            if answer["next"] is None:
                return found
            before = f"&before={answer['next']}"

    async def serve_runs(self) -> None:
        """Approve and signal whatever waits for it, until cancelled."""
        while True:
            for run in await self.listed("running"):
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
