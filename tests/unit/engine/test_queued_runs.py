"""A check is queued before its Run begins, whoever dies in between, and never afterwards."""

import pytest

from ci_host.ports import Unavailable
from pipelines.status import Standing
from tests.engine.delivery_world import PIPELINE, DeliveryWorld

pytestmark = pytest.mark.anyio


class World(DeliveryWorld):
    """A repository whose forge has checks, and a store that can fail to begin a Run."""

    def __init__(self, folder, *, has_checks: bool = True) -> None:
        super().__init__(folder, "4711", has_checks=has_checks)
        self.checkout.commit(PIPELINE)
        self.checkout.push()
        self.create = self.history.create

    async def pushed(self, delivery: str = "d-1"):
        commit = self.checkout.git("rev-parse", "HEAD")

        def change(payload):
            payload.update(ref="refs/heads/main", after=commit)
            payload["head_commit"].update(id=commit)

        return await self.take("github/push", change, delivery)

    async def fail(self, run, started):
        raise Unavailable("the host dies here")


async def test_it_is_told_before_the_run_begins_and_once_more_if_that_failed(tmp_path) -> None:
    world = World(tmp_path)
    world.history.create = world.fail
    with pytest.raises(Unavailable):
        await world.pushed()
    world.history.create = world.create
    (run,) = (await world.pushed()).runs
    told, again = world.kept.statuses
    # The outbox keeps one of each id.
    assert told.id == again.id
    assert (told.run, told.standing, told.context) == (run, Standing.QUEUED, "staunch/pipeline")


async def test_a_run_that_has_begun_is_not_queued_any_more(tmp_path) -> None:
    world = World(tmp_path)
    await world.pushed()
    await world.pushed("d-2")
    assert len(world.kept.statuses) == 1


async def test_a_forge_without_checks_hears_nothing_of_it(tmp_path) -> None:
    world = World(tmp_path, has_checks=False)
    assert len((await world.pushed()).runs) == 1
    assert world.kept.statuses == []
