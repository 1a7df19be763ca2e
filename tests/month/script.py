"""Script: what people do in a month, and what the network makes of it, one seed's worth.

Times are seconds from the beginning. What a webhook call says is made when something happens;
whether it arrives, when, and how often, is decided here too.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from random import Random

import httpx2

from tests.month.forge import ZERO, ForgeRepo, SeededForge

HOUR, DAY = 3_600.0, 86_400.0
MONTH = 30 * DAY
SECRET = "s3cret"
BRANCHES = ("main", "feature/$(id)", "-x", 'ünï-"quoted"', "x" * 200)
ILL = (
    lambda: httpx2.Response(429, headers={"retry-after": "60"}, json={"message": "slow down"}),
    lambda: httpx2.Response(500, text="<html>"),
    lambda: httpx2.Response(502),
    lambda: httpx2.Response(403, headers={"retry-after": "30"}, json={"message": "secondary"}),
    lambda: httpx2.ReadTimeout("it takes too long"),
    lambda: httpx2.ConnectError("reset"),
)

Call = Callable[[dict[str, str], bytes], Awaitable[None]]


class Script:
    """`call` brings a webhook call to the host, if that is up; `now` is the loop's time."""

    def __init__(self, dice: Random, forge: SeededForge, call: Call) -> None:
        self._dice, self._forge, self._call = dice, forge, call
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls = 0

    async def play(self) -> None:
        """All of the month. What is under way at its end still arrives."""
        for repo in self._forge.repos.values():
            self._go(self._work_on(repo))
        self._go(self._outages())
        self._go(self._illness())
        await asyncio.sleep(MONTH)
        while self._tasks:
            done, self._tasks = self._tasks, set()
            for task in await asyncio.gather(*done, return_exceptions=True):
                if isinstance(task, BaseException):
                    raise task

    def _go(self, what: Awaitable[None]) -> None:
        self._tasks.add(asyncio.ensure_future(what))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _work_on(self, repo: ForgeRepo) -> None:
        dice = self._dice
        renamed = sorted(dice.uniform(0.1, 0.9) * MONTH for _ in range(dice.choice([0, 1, 3])))
        deleted_at = dice.uniform(0.3, 0.9) * MONTH if dice.random() < 0.2 else MONTH
        while self._now() < MONTH - DAY:
            await asyncio.sleep(dice.choice([10.0, 600.0, HOUR, 6 * HOUR, DAY]))
            if self._forge.is_away:
                continue
            if self._now() > deleted_at:
                repo.deleted_at = self._now()
                return
            self._change(repo)
            if renamed and self._now() > renamed[0]:
                # What was just pushed is not told of yet, or its run is under way.
                renamed.pop(0)
                await asyncio.sleep(dice.choice([0.0, 30.0]))
                self._rename(repo)

    def _rename(self, repo: ForgeRepo) -> None:
        """It has another name; the old one is free, and a stranger may take it soon, or later."""
        dice, old = self._dice, repo.name
        repo.names.append(f"moved/{old.rpartition('/')[2]}-{len(repo.names)}")
        if dice.random() < 0.6:
            self._go(self._take(old, dice.choice([1.0, HOUR, 4 * DAY])))

    async def _take(self, name: str, delay: float) -> None:
        await asyncio.sleep(delay)
        stranger = self._forge.make(name, is_strangers=True)
        while self._now() < MONTH - DAY:
            branch = f"refs/heads/{self._dice.choice(BRANCHES)}"
            # Who has it tells us nothing: no webhook of theirs calls here.
            stranger.move(branch, self._forge.commit(stranger), self._now())
            await asyncio.sleep(self._dice.choice([600.0, HOUR, DAY]))

    def _change(self, repo: ForgeRepo) -> None:
        """Somebody pushes, forces, tags, goes back to an older commit, or deletes."""
        dice = self._dice
        what = dice.random()
        branch = f"refs/heads/{dice.choice(BRANCHES)}"
        gone = [ref for ref in repo.refs if ref != "refs/heads/main"]
        if what < 0.1 and gone:
            ref, commit = dice.choice(sorted(gone)), ""
        elif what < 0.2:
            ref, commit = f"refs/tags/v{len(repo.heads)}", self._forge.commit(repo)
        elif what < 0.3 and repo.commits:
            ref, commit = branch, dice.choice(sorted(repo.commits))
        else:
            ref, commit = branch, self._forge.commit(repo)
        if repo.refs.get(ref, "") == commit:
            return
        before = repo.move(ref, commit, self._now())
        self._tell(repo, ref, before, commit)

    def _tell(self, repo: ForgeRepo, ref: str, before: str, after: str) -> None:
        """The webhook calls that come of it: none, one late, several."""
        dice = self._dice
        self._calls += 1
        payload = {
            "ref": ref,
            "before": before or ZERO,
            "after": after or ZERO,
            "created": not before,
            "deleted": not after,
            "forced": dice.random() < 0.2,
            "repository": {"id": repo.id, "full_name": repo.name},
            "sender": {"login": "$(reboot)\n"},
            "head_commit": {"id": after, "message": "'; drop\x00 \u202e"} if after else None,
        }
        body = json.dumps(payload).encode()
        if dice.random() < 0.25:
            return
        delay = dice.choice([0.1, 0.1, 0.1, 30.0, HOUR, 6 * HOUR])
        self._go(self._arrive(delay, f"call-{self._calls}", body))
        if dice.random() < 0.2:
            # The forge's own name for a call is the same when it is sent again; not everywhere.
            name = f"call-{self._calls}" if dice.random() < 0.7 else f"again-{self._calls}"
            self._go(self._arrive(delay + dice.choice([0.1, DAY, 3 * DAY]), name, body))

    async def _arrive(self, delay: float, name: str, body: bytes) -> None:
        await asyncio.sleep(delay)
        if self._forge.is_away:
            return
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "content-type": "application/json",
            "x-github-event": "push",
            "x-github-delivery": name,
            "x-hub-signature-256": f"sha256={signature}",
        }
        await self._call(headers, body)

    async def _outages(self) -> None:
        """The forge is away, now and then, once for days."""
        for length in (600.0, 3 * HOUR, 2.5 * DAY):
            await asyncio.sleep(self._dice.uniform(1.0, 7.0) * DAY)
            self._forge.is_away = True
            await asyncio.sleep(length)
            self._forge.is_away = False

    async def _illness(self) -> None:
        while self._now() < MONTH:
            await asyncio.sleep(self._dice.uniform(0.1, 12.0) * HOUR)
            self._forge.ill += [self._dice.choice(ILL)() for _ in range(self._dice.randrange(1, 6))]
