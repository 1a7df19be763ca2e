"""A run that is started again has its code and commit, and nothing that another run was given."""

import msgspec
import pytest

from ci_host.api.beginnings import Beginnings
from pipelines.commands import StepKind
from pipelines.events import Recalled, RunStarted
from tests.web.world import COMMIT, Story, World

pytestmark = pytest.mark.anyio


class OneHistory:
    """A History of which only the beginning is asked."""

    def __init__(self, first: RunStarted) -> None:
        self.first = first

    async def started(self, run: str) -> RunStarted:
        return self.first


async def test_a_start_from_an_earlier_run_takes_over_nothing_of_it(world: World) -> None:
    story = await Story(world, 1).begin()
    first = await world.history.started(story.run)
    assert first is not None
    kept = Recalled(kind=StepKind.DO, key="a", fingerprint="f", value=1)
    rerun = msgspec.structs.replace(first, inputs={"region": "eu"}, recalled=[kept])
    beginnings = Beginnings(world.model, OneHistory(rerun))  # type: ignore[arg-type]
    found = await beginnings.earlier("tea/7", COMMIT, "pipeline")
    assert found is not None
    assert (found.inputs, found.recalled, found.rerun) == (None, [], None)
    assert found.bundle == first.bundle
