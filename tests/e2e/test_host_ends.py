"""A host that is told to end answers what it was asked, or says that it is ending."""

import asyncio
import os
import signal
from contextlib import suppress

import httpx2
import pytest

from tests.chaos.waiting import until
from tests.demo.installation import Installation

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.sandbox, pytest.mark.nats]

ENDS = 4
CLIENTS = 16
NOBODY = 503


@pytest.fixture
def installation(tmp_path):
    made = Installation(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


async def ask_again_and_again(http, answers):
    while True:
        with suppress(httpx2.TransportError):
            answer = await http.get("/runs")
            answers.append((answer.status_code, answer.text[:200]))
        # Without this a host that is gone is asked as fast as the loop turns.
        await asyncio.sleep(0.001)


async def is_answering(answers):
    """Several in a row, so that connections are open and used again."""
    return [status for status, _ in answers[-2 * CLIENTS :]] == [200] * 2 * CLIENTS


async def is_gone(installation, pid):
    return pid not in installation.pids().values()


async def test_nobody_is_answered_with_an_error_of_ours_while_the_host_ends(installation):
    token = (installation.data / "token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}"}
    answers = []
    async with httpx2.AsyncClient(
        base_url=f"{installation.url}/api/v1", headers=headers, timeout=20
    ) as http:
        asking = [asyncio.create_task(ask_again_and_again(http, answers)) for _ in range(CLIENTS)]
        for _ in range(ENDS):
            await until("answers", lambda: is_answering(answers))
            old = installation.pids()["host"]
            os.kill(old, signal.SIGTERM)
            await until("the end of the host", lambda pid=old: is_gone(installation, pid))
            answers.append((NOBODY, ""))
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    assert {(status, said) for status, said in answers if status not in (200, 503)} == set()
