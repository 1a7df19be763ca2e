"""The native sandbox, for the verbs' tests."""

from collections.abc import Callable

import pytest

from ci_host.tenant.host import TenantHost
from ci_host.tenant.native import NativeImage
from tests.tenants import Play, plan


@pytest.fixture
def play() -> Callable[..., Play]:
    """Makes a Play of a plan's body."""
    host = TenantHost(NativeImage())

    def make(body: str, top: str = "", seed: str = "seed") -> Play:
        return Play(host, plan(body, top), seed=seed)

    return make
