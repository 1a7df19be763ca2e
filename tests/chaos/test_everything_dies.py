"""Every process of a real installation is killed at random, again and again; nothing is lost."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.chaos.trial import Plan, open_trial

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.slow,
    pytest.mark.nats,
    pytest.mark.bwrap,
    pytest.mark.sandbox,
    # More than its patience with all that must be over, each after the other.
    pytest.mark.timeout(900),
]

SEED_DEFAULT = 7
CHAOS_S = 25.0


@pytest.fixture
def folder():
    made = Path(tempfile.mkdtemp(prefix="staunch-chaos-"))
    yield made
    if not os.environ.get("STAUNCH_CHAOS_KEEP"):
        shutil.rmtree(made, ignore_errors=True)


async def test_fifty_runs_outlive_the_death_of_every_process(folder):
    seed = int(os.environ.get("STAUNCH_CHAOS_SEED", SEED_DEFAULT))
    print(f"STAUNCH_CHAOS_SEED={seed} in {folder}")
    with open_trial(Plan(seed, CHAOS_S), folder, print) as trial:
        verdict = await trial.conduct()
    assert not verdict.flaws, "\n".join([str(verdict), *map(str, verdict.flaws)])
    assert verdict.runs >= 50
