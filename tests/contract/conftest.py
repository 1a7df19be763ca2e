"""The executors under contract, each at a bench of its own."""

import shutil
import tempfile
from pathlib import Path

import pytest

from runners.executors.bubblewrap import Bubblewrap, find_bwrap
from runners.executors.process import Process
from tests.executor_bench import CONFINED, UID_BASE, Bench, needs_bwrap


@pytest.fixture
def root():
    # Not pytest's own directory: unconfined jobs of another user must be able to enter it.
    path = Path(tempfile.mkdtemp(prefix="staunch-executor-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(params=[pytest.param("bubblewrap", marks=needs_bwrap), "process"])
def bench(request, root):
    volume = root / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    if request.param == "process":
        return Bench(root, Process(uid_base=UID_BASE, volumes={"shared": volume}))
    executor = Bubblewrap(find_bwrap(), uid_base=UID_BASE, volumes={"shared": volume})
    return Bench(root, executor)


@pytest.fixture
def sandbox(root):
    if not CONFINED:
        pytest.skip("no bubblewrap or no user namespaces")
    return Bench(root, Bubblewrap(find_bwrap(), uid_base=UID_BASE, volumes={}))
