"""The executors under contract, each at a bench of its own."""

import shutil
import tempfile
from pathlib import Path

import pytest

from runners.data_directory import DataDirectory
from runners.executors.bubblewrap import Bubblewrap, find_bwrap
from runners.executors.process import Process
from runners.images import Images
from runners.launcher import Zygote
from tests.executor_bench import CONFINED, UID_BASE, Bench, needs_bwrap
from tests.oci import Maker, programs


@pytest.fixture
def root():
    # Not pytest's own directory: unconfined jobs of another user must be able to enter it.
    path = Path(tempfile.mkdtemp(prefix="staunch-executor-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def image():
    """An image with this machine's own programs, unpacked once: the images, and its name."""
    path = Path(tempfile.mkdtemp(prefix="staunch-image-"))
    path.chmod(0o755)
    Maker(path / "offered" / "system").image(programs())
    data = DataDirectory(path / "data")
    yield Images(data, path / "offered", uid_base=UID_BASE, bytes_max=2**30), "system"
    data.close()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def zygote():
    """From which most shims are forked, as an agent's are."""
    made = Zygote()
    made.start()
    yield made
    made.close()


@pytest.fixture(params=[pytest.param("bubblewrap", marks=needs_bwrap), "process"])
def bench(request, root):
    """A sandbox with an image is one like another: that, the executors' own suite shows."""
    return bench_of(request, root)


def bench_of(request, root):
    """The bench of the executor that the parameter names."""
    volume = root / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    zygote = request.getfixturevalue("zygote")
    if request.param == "process":
        executor = Process(uid_base=UID_BASE, volumes={"shared": volume})
        return Bench(root, executor, zygote=zygote)
    executor = Bubblewrap(find_bwrap(), uid_base=UID_BASE, volumes={"shared": volume})
    if request.param == "oci":
        return Bench(root, executor, *request.getfixturevalue("image"))
    return Bench(root, executor, zygote=zygote)


@pytest.fixture
def sandbox(root):
    """One whose shims start by a command line, as where there is no zygote."""
    if not CONFINED:
        pytest.skip("no bubblewrap or no user namespaces")
    return Bench(root, Bubblewrap(find_bwrap(), uid_base=UID_BASE, volumes={}))
