"""The queue, seen from outside: turns, limits, why a job waits, and ends of what waits."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.demo.installation import until
from tests.e2e.installed import TIMEOUT_S, Installed, installed

pytestmark = [
    pytest.mark.xdist_group("e2e-queue"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

# At work until somebody lets it go.
HELD = "while [ ! -e /volumes/shared/go ]; do sleep 0.05; done"
ONE = f'await step.job("build", run="{HELD}", volumes=["shared"])'


def several(count: int) -> str:
    """A plan of so many short jobs at once."""
    job = 'step.job(f"job-{n}", run="true", checkout=False)'
    return f"await step.parallel(*[{job} for n in range({count})])"


class Held:
    """An installation with one slot, whose jobs of `ONE` wait for `let_go`."""

    def __init__(self, here: Installed, volume: Path) -> None:
        self.here = here
        self._volume = volume

    def let_go(self) -> None:
        (self._volume / "go").touch()

    def is_answering(self) -> bool:
        with suppress(httpx2.TransportError):
            return self.here.call("GET", "/queue").status == 200
        return False

    def attempts(self, run: str) -> dict[str, dict[str, Any]]:
        return {one["key"]: one for one in self.here.show(run)["attempts"]}

    def is_at_work(self, run: str, key: str = "build") -> bool:
        return self.attempts(run).get(key, {}).get("state") == "running"

    def waits(self, run: str, words: str) -> dict[str, Any]:
        """The first record of those for which a run waits that says so."""

        def look() -> dict[str, Any] | None:
            said = self.here.show(run)["waiting"]
            return next((one for one in said if words in one["words"]), None)

        return until(f"{run} to wait: {words}", look, TIMEOUT_S)

    def depth(self, pool: str = "default") -> dict[str, Any]:
        pools = self.here.get("/queue")["pools"]
        return next((one for one in pools if one["pool"] == pool), {})


@pytest.fixture
def held() -> Iterator[Held]:
    folder = Path(tempfile.mkdtemp(prefix="staunch-queue-"))
    folder.chmod(0o711)
    volume = folder / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    try:
        with installed(folder, "--slots", "1", "--volume", f"shared={volume}") as here:
            yield Held(here, volume)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_one_job_does_not_wait_for_two_hundred_of_another_repo_also_if_the_host_is_killed(
    held: Held,
) -> None:
    here = held.here
    first = here.repo("first").plan(ONE)
    until("the slot to be taken", lambda: held.is_at_work(first), TIMEOUT_S)
    greedy = here.repo("greedy").plan(several(200))
    until("200 jobs to wait", lambda: held.depth()["waiting"] >= 199, TIMEOUT_S)
    modest = here.repo("modest").plan('await step.job("build", run="true", checkout=False)')
    held.waits(modest, "a runner of pool default for job build (")
    os.kill(here.installation.pids()["host"], signal.SIGKILL)
    until("the host to be back", held.is_answering, TIMEOUT_S)
    held.let_go()
    ended = [here.ended(run) for run in (first, greedy, modest)]
    assert {one["state"] for one in ended} == {"succeeded"}
    begun = sorted(
        (attempt["started_at"], run["repo_name"])
        for run in ended[1:]
        for attempt in run["attempts"]
    )
    assert len(begun) == 201
    names = [name for _, name in begun]
    # What was released already goes first: no more than the one that was next.
    assert names.index("e2e/modest") <= 2
    assert held.depth()["waiting"] == 0


def test_limits_hold_jobs_back_and_say_so(held: Held) -> None:
    here = held.here
    assert here.staunch("limits", "set", "--pool", "default", "0").strip() == (
        "pool default: 0 at once"
    )
    repo = here.repo("app")
    run = repo.plan(several(4))
    waits = held.waits(run, "held by the limit of pool default, 0 at once; 0 before it")
    assert (waits["before"], waits["lack"], waits["phase"]) == (0, "", "queued")
    assert "held by the limit of pool default" in " ".join(here.staunch("show", run).split())
    assert "held by the limit of pool default" in here.page(f"/runs/{run}")
    facts = {"pool": "default", "waiting": 4, "at_runners": 0, "slots": 1, "limit": 0}
    assert held.depth().items() >= facts.items()
    assert here.staunch("limits", "set", "--repo", repo.name, "0").strip() == (
        f"repo {repo.name}: 0 at once"
    )
    held.waits(run, f"held by the limit of repo {repo.name}, 0 at once")
    said = here.staunch("limits", "list").splitlines()
    assert said == ["pool default: 0 at once", f"repo {repo.name}: 0 at once"]
    here.staunch("limits", "remove", "--pool", "default")
    held.waits(run, f"held by the limit of repo {repo.name}, 0 at once")
    here.staunch("limits", "remove", "--repo", repo.name)
    ended = here.ended(run)
    assert ended["state"] == "succeeded"
    assert all(one["waited_s"] > 0 for one in ended["attempts"])
    assert here.staunch("limits", "list") == ""


def test_a_limit_is_of_a_pool_or_a_repo_and_only_administrators_set_it(held: Held) -> None:
    here = held.here
    both = {"pool": "a", "repo": "b", "at_once": 1}
    for body in (both, {"at_once": 1}, {"pool": "a", "at_once": -1}, {"pool": "a"}):
        assert here.call("PUT", "/limits", body).status == 422, body
    assert here.call("PUT", "/limits", {"repo": "nobody/knows", "at_once": 1}).status == 404
    assert here.call("PUT", "/limits", {"pool": "a", "at_once": 1}, who="grace").status == 403
    assert "say what is limited" in here.staunch("limits", "set", "3", code=2)


def test_what_waits_is_cancelled_at_once_though_every_slot_is_busy(held: Held) -> None:
    here = held.here
    busy = here.repo("busy").plan(ONE)
    until("the slot to be taken", lambda: held.is_at_work(busy), TIMEOUT_S)
    # The first of them is next: released, and claimed by nobody.
    run = here.repo("later").plan(several(4))
    held.waits(run, "job job-3 (")
    assert held.waits(run, "it is next")
    here.staunch("cancel", run)
    ended = here.ended(run)
    assert ended["state"] == "cancelled"

    def states() -> bool:
        found = held.attempts(run).values()
        return {one["state"] for one in found} == {"cancelled"} and len(found) == 4

    until("its jobs to be reported", states, TIMEOUT_S)
    messages = {one["message"] for one in held.attempts(run).values()}
    assert all(said.startswith("cancelled before it began: ") for said in messages)
    assert held.is_at_work(busy)
    held.let_go()
    assert here.ended(busy)["state"] == "succeeded"
    until("nothing to be left", lambda: not held.depth()["at_runners"], TIMEOUT_S)
