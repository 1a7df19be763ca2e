"""Health: what a host answers whoever watches over it, while its message server stands still."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.web.installation import Installation, installation

pytestmark = [pytest.mark.nats, pytest.mark.anyio]


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """It takes what it is sent, and answers nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def told(here: Installation, what: str) -> tuple[int, dict[str, object]]:
    answer = await here.ask("GET", f"/api/v1/{what}")
    return answer.status, json.loads(answer.body)


async def test_a_host_lives_though_it_is_not_ready_and_is_ready_again(tmp_path: Path) -> None:
    async with installation(tmp_path) as here:
        assert await told(here, "ready") == (200, {"ready": True})
        with frozen(here.server.pid):
            assert await told(here, "alive") == (200, {"alive": True})
            status, problem = await told(here, "ready")
            assert (status, problem["title"]) == (503, "The store does not answer")
        assert await told(here, "ready") == (200, {"ready": True})
