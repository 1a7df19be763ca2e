"""What every test may use."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ci_host.adapters.wasm.instance import WasmImage
from ci_host.tenant.limits import Limits
from tests.workers import pytest_collection_modifyitems, pytest_xdist_make_scheduler

__all__ = ["pytest_collection_modifyitems", "pytest_xdist_make_scheduler"]

# Repositories that tests run pipelines on: their tests are their own.
collect_ignore = ["checkouts"]

# A test says what is right, not how fast: the machine may be busy.
settings.register_profile("staunch", deadline=None)
settings.load_profile("staunch")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, as the platform does."""
    return "asyncio"


@pytest.fixture(scope="session")
def wasm_image() -> Iterator[WasmImage]:
    """The real guest image: built and compiled once (half a minute), then kept in the cache."""
    cache = os.environ.get("STAUNCH_CACHE_DIR")
    image = WasmImage(
        Path(cache) if cache else Path.home() / ".cache" / "staunch",
        Limits(),
        lambda text: print(text, file=sys.__stderr__),
    )
    yield image
    image.close()
