"""A repository with schedules, for each test its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.schedules.world import ScheduleWorld, schedule_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ScheduleWorld]:
    async with schedule_world(tmp_path) as found:
        yield found
