"""`--egress` and `--volume`: what a runner would not begin with is refused before anything does."""

from pathlib import Path

import pytest

from ci_host.cli.client import ClientError
from ci_host.cli.options import egress_of, volumes_of
from runners import targets

TARGETS = [
    "pypi.org", "PyPI.org:8443", "*.pythonhosted.org", "*.example.org:80", "*", "*:8443",
    "[::1]:443", "::1", "2001:db8::1", "10.0.0.1:5000", "a_b.example.", "pypi.org, *.x.org,",
]  # fmt: skip
NONE = ["bad!", "http://pypi.org", "pypi.org/simple", "*x.org", "a..b", "-a.org", "x:0", "x:65536"]


@pytest.mark.parametrize("text", TARGETS)
def test_what_a_runner_takes_for_a_target_is_one(text: str) -> None:
    assert egress_of([text]) == [text]
    assert targets.parse_all([text])


@pytest.mark.parametrize("text", NONE)
def test_what_a_runner_would_not_begin_with_is_refused(text: str) -> None:
    with pytest.raises(targets.BadTarget):
        targets.parse_all([f"pypi.org,{text}"])
    with pytest.raises(ClientError, match="write a host such as") as refused:
        egress_of(["crates.io", f"pypi.org,{text}"])
    assert refused.value.exit_code == 2


def test_a_volume_is_a_name_and_a_whole_path() -> None:
    assert volumes_of(["a-b=/srv/a", "c=/srv=c"]) == {
        "a-b": Path("/srv/a"),
        "c": Path("/srv=c"),
    }
    for text in ("a", "a=b", "a b=/srv", "=/srv"):
        with pytest.raises(ClientError, match="write NAME=/absolute/path"):
            volumes_of([text])
