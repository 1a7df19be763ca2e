"""Every line of jobs tells of the rules of environments, and which environment a job names."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from ci_host.line_ports import (
    EnvironmentRule,
    Ruled,
)
from tests.engine.line_places import Place, heard, in_memory, on_nats, spec_of

pytestmark = pytest.mark.anyio

GUARDED = EnvironmentRule(repo="git/example", environment="production", refs=["main"], by="ada")


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "memory":
        yield in_memory()
        return
    async with AsyncExitStack() as stack:
        yield await on_nats(stack, tmp_path)


async def test_rules_of_environments_are_found_and_told_and_jobs_say_which_they_name(
    place: Place,
) -> None:
    await place.offer(spec_of("job"))
    async with place.line.open() as opened:
        assert list(opened.environments) == []
        [offer] = opened.offers
        assert (offer.repo, offer.environment) == ("git/example", "production")
        await place.environment(GUARDED)
        assert (await heard(opened, Ruled)).rule == GUARDED
        released = await opened.release(offer)
        assert released.environment == "production"
    async with place.line.open() as opened:
        assert list(opened.environments) == [GUARDED]
        assert [one.environment for one in opened.released] == ["production"]
    removed = EnvironmentRule(repo="git/example", environment="production")
    await place.environment(removed)
    async with place.line.open() as opened:
        assert list(opened.environments) == [removed]
