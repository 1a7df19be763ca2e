"""What the jobs of a `staunch run` may use of the machine: directories, and a network."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.installed import FILE, parsed, plan
from tests.e2e.test_local_run import Local

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

VOLUME = "await step.job('keep', run='echo kept > /volumes/packages/word', volumes=['packages'])"
# Through the job's proxy, which answers for a host that is not to be reached.
ASK = """
import sys, urllib.error, urllib.request
try:
    urllib.request.urlopen("http://elsewhere.example/", timeout=60)
except urllib.error.HTTPError as error:
    sys.exit(error.code != 403)
sys.exit(1)
"""
NETWORK = f"""
asked = {ASK!r}
await step.job(
    "ask", run='python3 -c "$ASKED"', env={{"ASKED": asked}}, network="egress", egress=["pypi.org"]
)
"""


@pytest.fixture
def local() -> Iterator[Local]:
    folder = Path(tempfile.mkdtemp(prefix="staunch-local-"))
    # Jobs run as users of their own, who must be able to reach what is theirs.
    folder.chmod(0o711)
    yield Local(folder)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_job_writes_to_the_directory_that_the_command_is_given(local: Local) -> None:
    packages = local.folder / "packages"
    packages.mkdir()
    packages.chmod(0o777)
    local.repo.write({FILE: plan(VOLUME)})
    ended = parsed(local.run("--json", "--volume", f"packages={packages}"))
    assert ended["state"] == "succeeded"
    assert (packages / "word").read_text() == "kept\n"


def test_a_job_reaches_what_the_command_is_given_and_nothing_else(local: Local) -> None:
    local.repo.write({FILE: plan(NETWORK)})
    ended = parsed(local.run("--json", "--egress", "pypi.org,*.pythonhosted.org"))
    (attempt,) = ended["attempts"]
    assert (attempt["state"], attempt["exit_code"]) == ("succeeded", 0)
    assert "elsewhere.example" in " ".join(attempt["denied"])


def test_what_it_was_not_given_is_refused_with_the_option_that_gives_it(local: Local) -> None:
    local.repo.write({FILE: plan(NETWORK)})
    refused = local.run(code=1)
    assert "give it to `staunch run`: --egress" in refused
    assert "staunch doctor" not in refused
    assert "give it to `staunch run`: --egress" in local.run("--egress", "crates.io", code=1)
    local.repo.write({FILE: plan(VOLUME)})
    refused = local.run(code=1)
    assert "give it to `staunch run`: --volume NAME=/absolute/path" in refused
    assert "staunch doctor" not in refused
    assert "write NAME=/absolute/path" in local.run("--volume", "packages=here", code=2)
    assert local.left() == []
