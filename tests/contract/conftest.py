"""The executors under contract, each at a bench of its own."""

import shutil
import tempfile
from pathlib import Path

import pytest

from runners.data_directory import DataDirectory
from runners.executors.bubblewrap import Bubblewrap, find_bwrap
from runners.executors.podman import Podman, find_podman
from runners.executors.process import Process
from runners.images import Images
from runners.launcher import Zygote
from tests.executor_bench import UID_BASE, Bench, needs_bwrap, needs_podman
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


@pytest.fixture(
    params=[
        pytest.param("bubblewrap", marks=needs_bwrap),
        pytest.param("podman", marks=needs_podman),
        "process",
    ]
)
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
    if request.param == "podman":
        return Bench(root, Podman(find_podman(), uid_base=UID_BASE, volumes={"shared": volume}))
    executor = Bubblewrap(find_bwrap(), uid_base=UID_BASE, volumes={"shared": volume})
    if request.param == "oci":
        return Bench(root, executor, *request.getfixturevalue("image"))
    return Bench(root, executor, zygote=zygote)


@pytest.fixture(
    params=[
        pytest.param("bubblewrap", marks=needs_bwrap),
        pytest.param("podman", marks=needs_podman),
    ]
)
def sandbox(request, root):
    """One whose shims start by a command line, as where there is no zygote."""
    made = Podman if request.param == "podman" else Bubblewrap
    program = find_podman() if request.param == "podman" else find_bwrap()
    return Bench(root, made(program, uid_base=UID_BASE, volumes={}))
