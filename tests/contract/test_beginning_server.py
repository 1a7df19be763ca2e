"""A message server that has been started and has not answered yet."""

import os
import signal
from pathlib import Path

import pytest

from ci_host.adapters.nats.server import EmbeddedServer, ServerKilled, ServerSettings
from tests.runner_world import until

pytestmark = [pytest.mark.nats, pytest.mark.anyio]


async def test_one_that_has_not_answered_yet_is_not_taken_for_one_that_cannot_store(
    tmp_path: Path,
) -> None:
    server = EmbeddedServer(ServerSettings(tmp_path))
    server.launch()
    assert not server.is_stuck()
    await until(server.is_ready, "its answer")
    assert not server.is_stuck()
    server.stop()


async def test_one_that_is_killed_before_it_answers_says_so(tmp_path: Path) -> None:
    server = EmbeddedServer(ServerSettings(tmp_path))
    server.launch()
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(ServerKilled, match="ended at once with code -9"):
        await until(server.is_ready, "its end")
