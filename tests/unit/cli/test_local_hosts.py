"""The installation that `staunch run` waits for, and does not wait for for ever."""

import sys
from pathlib import Path

import pytest

from ci_host.cli import local_host
from ci_host.cli.client import ClientError
from ci_host.cli.local_host import LocalHost, Wish
from ci_host.settings import Hibernate


class Deaf(LocalHost):
    """What it starts says something, and answers nobody."""

    after = "time.sleep(600)"

    def _command(self) -> list[str]:
        keeper = super()._command()[:4]
        program = f"import time; print('looking at the stars', flush=True); {self.after}"
        return [*keeper, sys.executable, "-c", program]


class Ending(Deaf):
    """And ends."""

    after = "exit(1)"


def test_one_that_comes_no_further_is_given_up_with_what_it_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_host, "STUCK_S", 3.0)
    wish = Wish(tmp_path / "data", tmp_path / "cache", Hibernate.IDLE, 1, is_kept=True)
    with Deaf(wish) as host:
        (tmp_path / "data" / "token").write_text("stn_x")
        with pytest.raises(ClientError) as caught:
            host.ready()
    assert caught.value.exit_code == 3
    assert "has come no further for 3 s (no answer from http://127.0.0.1:" in str(caught.value)
    assert str(caught.value).endswith("The last that it said:\nlooking at the stars")


@pytest.mark.parametrize("is_kept", [True, False])
def test_of_one_that_ends_is_told_what_it_said_also_where_nothing_is_kept(
    tmp_path: Path, is_kept: bool
) -> None:
    wish = Wish(tmp_path / "data", tmp_path / "cache", Hibernate.IDLE, 1, is_kept=is_kept)
    with Ending(wish) as host, pytest.raises(ClientError) as caught:
        host.ready()
    assert str(caught.value) == "the installation has ended: looking at the stars"
    assert (tmp_path / "data").exists() == is_kept
