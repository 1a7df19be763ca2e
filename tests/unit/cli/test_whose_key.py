"""To whom the key of whoever owns an installation of this machine is told."""

import os
from pathlib import Path

import msgspec
import pytest

from ci_host.cli.client import Client, ClientError, find
from ci_host.running import FILE, RunningState

KEY = "stn_owner"


@pytest.fixture(autouse=True)
def _nobody_s_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("STAUNCH_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def runs(folder: Path, url: str) -> Path:
    """The data directory of an installation that runs; we are its supervisor."""
    folder.mkdir(exist_ok=True)
    (folder / "token").write_text(f"{KEY}\n")
    state = RunningState(url, "nats://127.0.0.1:1", os.getpid(), {})
    (folder / FILE).write_bytes(msgspec.json.encode(state))
    return folder


LOCAL = "http://127.0.0.1:8765"
PUBLIC = "https://ci.example/team"


@pytest.mark.parametrize(
    ("url", "server"),
    [
        (LOCAL, None),
        (LOCAL, LOCAL),
        (LOCAL, f"{LOCAL}/"),
        (LOCAL, "http://localhost:8765"),
        (LOCAL, "HTTP://LocalHost:8765"),
        ("http://0.0.0.0:8765", LOCAL),
        ("http://localhost", "http://127.0.0.1:80"),
        (PUBLIC, None),
        (PUBLIC, "https://CI.example:443/team/"),
    ],
)
def test_the_installation_that_runs_there_is_told_its_owner_s_key(
    url: str, server: str | None, tmp_path: Path
) -> None:
    found = find(server, None, runs(tmp_path / "data", url))
    assert found == Client((server or url).rstrip("/"), KEY)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        (LOCAL, "https://ci.example"),
        (LOCAL, "http://ci.example:8765"),
        (LOCAL, "http://127.0.0.1:8766"),
        (LOCAL, "https://127.0.0.1:8765"),
        (LOCAL, "http://127.0.0.1:8765@ci.example"),
        (LOCAL, "http://ci.example:8765/127.0.0.1"),
        (PUBLIC, "http://ci.example/team"),
        (PUBLIC, "https://ci.example/other"),
        (PUBLIC, "https://ci.example.org/team"),
        ("no-url:[", LOCAL),
    ],
)
def test_no_other_host_is_told_it(url: str, server: str, tmp_path: Path) -> None:
    with pytest.raises(ClientError) as caught:
        find(server, None, runs(tmp_path / "data", url))
    assert f"no key for {server}: `staunch login {server}`" in str(caught.value)
    assert "--token or STAUNCH_TOKEN" in str(caught.value)
    assert caught.value.exit_code == 3
    assert find(server, "stn_theirs", tmp_path / "data").token == "stn_theirs"


def test_where_nothing_runs_the_key_that_lies_there_is_told_to_nobody(tmp_path: Path) -> None:
    folder = runs(tmp_path / "data", LOCAL)
    (folder / FILE).unlink()
    with pytest.raises(ClientError, match="no key for"):
        find(LOCAL, None, folder)


@pytest.mark.parametrize(
    "server",
    ["ci.example", "", "http://", "http://[bad", "http://ci.example:99999", "http://ci.example:a"],
)
def test_a_server_that_is_no_url_is_told_before_a_key_is_looked_for(
    server: str, tmp_path: Path
) -> None:
    with pytest.raises(ClientError) as caught:
        find(server, None, tmp_path)
    assert caught.value.exit_code == 2
    assert f"{server!r} is no URL of a host" in str(caught.value)
