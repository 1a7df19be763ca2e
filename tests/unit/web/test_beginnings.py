"""A run that is started again has its code and commit, and nothing that another run was given."""

import msgspec
import pytest

from ci_host.adapters.memory.world import MemoryBundles
from ci_host.api.beginnings import Beginnings
from ci_host.ports import StoredTurn
from pipelines.bundle import InputTerms, PipelineEntry, Prepared
from pipelines.commands import StepKind
from pipelines.events import Recalled, RunStarted
from pipelines.ids import Digest
from pipelines.run import RunState
from pipelines.turn import Pins, Turn
from tests.web.world import COMMIT, Story, World

pytestmark = pytest.mark.anyio

PINS = Pins(image="image", bundle="bundle", prepared="p", codec=1, boot="native")
TURN = Turn(number=1, consumed=[1], through=1, by="e", now=1.0, digest="d", state=RunState.RUNNING)


class OneHistory:
    """A History of which only the beginning is asked."""

    def __init__(self, first: RunStarted, pins: Pins | None = PINS) -> None:
        self.first = first
        self.pins = pins

    async def started(self, run: str) -> RunStarted:
        return self.first

    async def first_turn(self, run: str) -> StoredTurn:
        return StoredTurn(2, msgspec.structs.replace(TURN, pins=self.pins))


async def bundles_of(file: str) -> MemoryBundles:
    """A store that has what the guest made of the Bundle."""
    asks = InputTerms(inputs={"region": "str"})
    entry = PipelineEntry(name="pipeline", file=file, asks=asks)
    prepared = Prepared(bundle="bundle", image="image", code="", pipelines=[entry])
    bundles = MemoryBundles()
    await bundles.put_prepared(Digest("bundle"), Digest("image"), msgspec.json.encode(prepared))
    return bundles


async def begun(world: World) -> RunStarted:
    """How the Run of a story began."""
    story = await Story(world, 1).begin()
    first = await world.history.started(story.run)
    assert first is not None
    return first


async def test_a_start_from_an_earlier_run_takes_over_nothing_of_it(world: World) -> None:
    first = await begun(world)
    kept = Recalled(kind=StepKind.DO, key="a", fingerprint="f", value=1)
    rerun = msgspec.structs.replace(first, inputs={"region": "eu"}, recalled=[kept])
    history, bundles = OneHistory(rerun), await bundles_of(first.file)
    found = await Beginnings(world.model, history, bundles).earlier(  # type: ignore[arg-type]
        "tea/7", COMMIT, "pipeline"
    )
    assert found is not None
    given = found.started
    assert (given.inputs, given.recalled, given.rerun) == (None, [], None)
    assert given.bundle == first.bundle
    assert found.entry.asks == InputTerms(inputs={"region": "str"})


async def test_a_run_that_never_came_to_load_its_code_is_nothing_to_start_from(
    world: World,
) -> None:
    first = await begun(world)
    bundles = await bundles_of(first.file)
    lost = MemoryBundles()
    for history, store in [(OneHistory(first, None), bundles), (OneHistory(first), lost)]:
        beginnings = Beginnings(world.model, history, store)  # type: ignore[arg-type]
        assert await beginnings.earlier("tea/7", COMMIT, "pipeline") is None
