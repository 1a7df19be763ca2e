"""One real installation for all the tests that look at it from outside."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.e2e.far import far_machine
from tests.e2e.installed import installed, unique
from tests.machines import why_none


@pytest.fixture(scope="session")
def here():
    """The installation. Its tests share an xdist group, so that it is started once."""
    folder = Path(tempfile.mkdtemp(prefix="staunch-e2e-"))
    # Jobs run as users of their own, who must be able to reach what is theirs.
    folder.chmod(0o711)
    try:
        with installed(folder) as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def repo(here, request):
    """A repository of the test's own."""
    return here.repo(unique(request.node.name))


@pytest.fixture(scope="session")
def far():
    """Another machine, and an installation that listens for its runners; one xdist group too."""
    if why := why_none():
        pytest.skip(why)
    with far_machine() as found:
        yield found


@pytest.fixture
def far_repo(far, request):
    """A repository of the test's own, of the installation that has another machine; the runners
    there end with the test."""
    yield far.here.repo(unique(request.node.name))
    far.machine.stop()
