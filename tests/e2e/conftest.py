"""One real installation for all the tests that look at it from outside."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.e2e.installed import installed, unique


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
