"""Trial: an installation, people who use it, and a reaper; in the end a verdict on every run."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ci_host.adapters.nats.bus import Bus, connect
from ci_host.adapters.nats.history import NatsHistory
from ci_host.ports import Unavailable
from tests.chaos import judgement
from tests.chaos.cluster import Cluster
from tests.chaos.crowd import Crowd, Wishes
from tests.chaos.judgement import Begun, Flaw, Kind, Verdict
from tests.chaos.reaper import Pace, Reaper
from tests.chaos.waiting import until
from tests.demo.forge import TOKEN, RecordingForge
from tests.demo.installation import Gone, Installation
from tests.patience import PATIENCE_S
from tests.repos import Repo

Look = Callable[[], Awaitable[bool]]


@dataclass(frozen=True)
class Plan:
    """What a seed and some numbers make: the whole trial but for the machine's own timing.

    `calm_s`: how long after the last blow everything may take to be over.
    """

    seed: int
    seconds: float
    wishes: Wishes = field(default_factory=Wishes)
    pace: Pace = field(default_factory=Pace)
    is_cluster: bool = False
    calm_s: float = 3 * PATIENCE_S


@dataclass
class Trial:
    """One installation under trial, in a folder of its own."""

    plan: Plan
    folder: Path
    installation: Installation
    forge: RecordingForge
    cluster: Cluster | None
    say: Callable[[str], None]

    async def conduct(self) -> Verdict:
        """Ask, strike, wait, and judge."""
        plan = self.plan
        repo = Repo(self.folder)
        self.installation.staunch(
            "repo", "add", str(repo.bare), "--name", "demo/app",
            "--api-url", self.forge.url, "--forge-token", TOKEN,
        )  # fmt: skip
        crowd = Crowd(self.installation, repo, random.Random(plan.seed), plan.wishes)
        dice = random.Random(plan.seed + 1)
        reaper = Reaper(self.installation, dice, plan.pace, self.cluster)
        # One connection lives through it all, as an operator's would.
        bus = await connect(self.installation.nats_url(), name="judge", timeout_s=PATIENCE_S)
        try:
            async with asyncio.TaskGroup() as people:
                serving = people.create_task(crowd.serve_runs())
                asking = people.create_task(crowd.ask_runs(plan.seconds * 0.7))
                await reaper.reap(plan.seconds, bus)
                blows = ", ".join(f"{what} {n}" for what, n in sorted(reaper.struck.items()))
                self.say(f"{reaper.struck.total()} blows: {blows}")
                await asking
                verdict = await self._judge(crowd, bus)
                serving.cancel()
        finally:
            await bus.close()
            await crowd.close()
        return verdict

    async def _judge(self, crowd: Crowd, bus: Bus) -> Verdict:
        """Wait for the end of everything, then look at every run."""
        history = NatsHistory(bus, "judge")
        began = time.monotonic()
        begun, flaws = await self._ends(history, bus)
        self.say(f"all was over or given up {time.monotonic() - began:.1f} s after the last blow")
        wanted = self.plan.wishes.runs
        flaws += [*begun.flaws, *judgement.flaws_of_answers(begun, crowd.started, wanted)]
        stuck = {flaw.whose for flaw in flaws if flaw.kind is Kind.STUCK}
        # A run may be over before the last of its cancelled jobs has reported: the queues first.
        flaws += await self._aftermath(crowd, bus, begun)
        effects = self.folder / "effects"
        for run, started in begun.runs.items():
            if run not in stuck:
                flaws += judgement.flaws_of(started, await history.read(run), effects)
        return Verdict(len(begun.runs), flaws)

    async def _ends(self, history: NatsHistory, bus: Bus) -> tuple[Begun, list[Flaw]]:
        last = Begun({}, [])
        living = list(last.runs)

        async def all_over() -> bool:
            nonlocal last, living
            last = await judgement.runs_on(bus)
            living = await judgement.living_runs(history, last.runs)
            return not living and len(last.asked) >= self.plan.wishes.runs

        try:
            await until("the end of every run", _calmly(all_over), self.plan.calm_s)
        except Gone:
            self.say(f"{len(living)} of {len(last.runs)} runs were not over")
        return last, [Flaw(Kind.STUCK, run, last.runs[run].pipeline) for run in living]

    async def _aftermath(self, crowd: Crowd, bus: Bus, begun: Begun) -> list[Flaw]:
        """Nothing may be left over, and everybody must have been told."""
        jobs = self.folder / "data" / "runner" / "jobs"

        async def settled() -> bool:
            return not await judgement.unsettled(bus)

        async def swept() -> bool:
            return not list(jobs.iterdir())

        async def told() -> bool:
            return not list(judgement.flaws_of_statuses(begun, self.forge.told))

        async def listed() -> bool:
            # The last blow may have been a moment ago: the host is given time to come back.
            shown = {run["id"]: run["state"] for run in await crowd.listed()}
            return shown == dict.fromkeys(begun.runs, "succeeded")

        flaws = []
        for what, look in {
            "empty queues": settled,
            "the removal of every job directory": swept,
            "every status": told,
            "a read model that says the same": listed,
        }.items():
            try:
                await until(what, _calmly(look), self.plan.calm_s)
            except Gone as gone:
                flaws.append(Flaw(Kind.WRONG, what, str(gone)))
        return flaws + list(judgement.flaws_of_statuses(begun, self.forge.told))


def _calmly(look: Look) -> Look:
    """The same question, to a bus that may still be electing: no answer is no yes."""

    async def asked() -> bool:
        try:
            return await look()
        except (Unavailable, TimeoutError):
            return False

    return asked


@contextmanager
def open_trial(plan: Plan, folder: Path, say: Callable[[str], None]) -> Iterator[Trial]:
    """Everything in place and running; ended, whatever happened, when the block is left."""
    # Jobs run as users of their own, who must be able to reach what is theirs.
    folder.chmod(0o711)
    effects = folder / "effects"
    effects.mkdir()
    effects.chmod(0o777)
    options = ["--volume", f"effects={effects}", "--slots", "4"]
    with ExitStack() as stack:
        forge = stack.enter_context(RecordingForge())
        cluster = stack.enter_context(Cluster(folder)) if plan.is_cluster else None
        if cluster is not None:
            options += ["--nats-url", cluster.url, "--nats-replicas", "3"]
        installation = Installation(folder, *options)
        stack.callback(installation.stop)
        installation.start()
        yield Trial(plan, folder, installation, forge, cluster, say)
