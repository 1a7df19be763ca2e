"""Shared by the webhook tests: the event loop that async tests run on."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
