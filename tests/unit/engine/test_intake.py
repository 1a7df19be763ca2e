"""How long a Delivery that cannot be seen to is tried again, and when somebody is told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from ci_host.engine.intake import AWAY_TRIES_MAX, BROKEN_TRIES_MAX, RETRY_S_MAX, Intake
from ci_host.ports import SourceUnavailable, Unavailable
from pipelines.repo import Delivery, ForgeKind
from tests.engine.world import until
from webhooks.memory import MemoryInbox

pytestmark = pytest.mark.anyio

DELIVERY = Delivery(
    connection="hub", id="d", kind=ForgeKind.GITHUB, event="push", received_at=0.0, body="{}"
)


@dataclass
class Once:
    """A queue with one Delivery that was handed out so often, and what became of that."""

    times: int
    item: Delivery = DELIVERY
    told: list[object] = field(default_factory=list)

    async def done(self) -> None:
        self.told.append("done")

    async def later(self, delay_s: float) -> None:
        self.told.append(delay_s)

    async def extend(self) -> None:
        """Not asked for here."""

    async def __aiter__(self) -> AsyncIterator["Once"]:
        yield self
        await asyncio.Event().wait()


@dataclass
class Failing:
    """See Triggers: it fails so."""

    error: Exception
    given_up: list[str] = field(default_factory=list)

    async def take(self, delivery: Delivery) -> None:
        raise self.error

    async def give_up(self, delivery: Delivery, reason: str) -> None:
        self.given_up.append(reason)


async def tried(error: Exception, times: int) -> tuple[list[object], list[str]]:
    queue, triggers = Once(times), Failing(error)
    serving = asyncio.create_task(
        Intake([queue], triggers, MemoryInbox(), lambda: 0.0).serve()  # type: ignore[arg-type]
    )
    await until(lambda: queue.told)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    return queue.told, triggers.given_up


@pytest.mark.parametrize("error", [SourceUnavailable("it is away"), Unavailable("no answer")])
async def test_a_forge_that_is_away_for_days_is_waited_for(error: Exception) -> None:
    # As often as it takes for more than six days.
    assert AWAY_TRIES_MAX * RETRY_S_MAX > 6 * 86_400
    assert await tried(error, AWAY_TRIES_MAX - 1) == ([RETRY_S_MAX], [])
    told, given_up = await tried(error, AWAY_TRIES_MAX)
    assert told == ["done"]
    assert given_up == [f"given up after {AWAY_TRIES_MAX} tries: {error}"]


async def test_of_an_error_of_ours_somebody_is_told_within_hours() -> None:
    assert (await tried(ValueError("a bug"), BROKEN_TRIES_MAX - 1))[1] == []
    told, [reason] = await tried(ValueError("a bug"), BROKEN_TRIES_MAX)
    assert told == ["done"]
    assert "an error of Staunch's own" in reason
