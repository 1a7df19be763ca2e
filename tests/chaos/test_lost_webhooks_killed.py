"""Everything is killed at each line on the way from a ref that moved to its run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.crash_points import CrashPoints
from tests.demo.installation import until
from tests.e2e.deaf import OPTIONS, apart, deafened, deliveries, seen
from tests.e2e.installed import FILE, TIMEOUT_S, Installed, Registered, installed, plan

pytestmark = [
    pytest.mark.xdist_group("lost_webhooks_killed"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

SIGHTS = "ci_host.adapters.nats.sights"
# The calls on that way, in their order.
CALLS = {
    "reading what was seen": (SIGHTS, "NatsSights", "read"),
    "asking what was told": (SIGHTS, "NatsHearsay", "told"),
    "recording the delivery": ("ci_host.adapters.nats.stores", "NatsInbox", "record"),
    "writing what is seen": (SIGHTS, "NatsSights", "write"),
    "taking the delivery": ("ci_host.engine.triggers", "Triggers", "take"),
    "telling of it": (SIGHTS, "NatsHearsay", "tell"),
    "telling its outcome": ("ci_host.adapters.nats.stores", "NatsOutcomes", "tell"),
}
PLAN = {FILE: plan("return event.ref")}


@pytest.fixture(scope="module")
def points() -> Iterator[CrashPoints]:
    """Of every engine that is started while this module's tests run."""
    with apart() as folder:
        made = CrashPoints(Path(folder) / "points", CALLS, "engine")
        before = {name: os.environ.get(name) for name in made.environment}
        os.environ.update(made.environment)
        try:
            yield made
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@pytest.fixture(scope="module")
def here(points: CrashPoints) -> Iterator[Installed]:
    with apart() as folder, installed(folder, "--engines", "1", *OPTIONS) as found:
        yield found


@pytest.fixture(scope="module")
def repo(here: Installed) -> Registered:
    return deafened(here, "killed")


def again(here: Installed) -> None:
    """All of it dies, and is started again."""
    here.installation.kill()
    here.installation.start()


@pytest.mark.parametrize("moment", CALLS)
def test_a_death_at_any_line_loses_no_push_and_builds_none_twice(
    points: CrashPoints, here: Installed, repo: Registered, moment: str
) -> None:
    made = len(deliveries(here, repo))
    points.stop_at(moment)
    commit = repo.pushed(PLAN, moment)
    until(f"an engine that stands still {moment}", points.stopped, TIMEOUT_S)
    again(here)
    here.ended(here.run(commit))
    seen(here, repo, {"refs/heads/main": commit})
    until("its outcome", lambda: len(deliveries(here, repo)) > made, TIMEOUT_S)
    assert len(here.runs(commit)) == 1
    assert len(deliveries(here, repo)) == made + 1


def test_a_death_while_the_first_sight_is_written_makes_nothing_news(
    points: CrashPoints, here: Installed
) -> None:
    points.stop_at("writing what is seen")
    other = here.repo("first")
    (other.bare / "hooks" / "post-receive").unlink()
    until("an engine that stands still", points.stopped, TIMEOUT_S)
    again(here)
    seen(here, other, {})
    assert deliveries(here, other) == []
