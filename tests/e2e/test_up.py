"""What `staunch up` says on a terminal is true when it says it."""

import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.demo.installation import free_port
from tests.patience import PATIENCE_S

pytestmark = [
    pytest.mark.xdist_group("e2e-up"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
]


def test_it_says_that_it_is_up_when_the_host_answers_and_the_token_is_there(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    words = ["-m", "ci_host", "up", "--data", str(data), "--port", str(port)]
    with subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    ) as up:
        try:
            assert up.stdout is not None
            said = up.stdout.readline()
            assert said == f"Staunch is up at http://127.0.0.1:{port}\n"
            # At once, and for the first time: nobody waited for any of it before.
            asked = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/runs")
            asked.add_header("Authorization", f"Bearer {(data / 'token').read_text().strip()}")
            with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
                assert answer.status == 200
        finally:
            up.terminate()
    assert up.returncode == 0
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        pass


def test_a_proxy_that_it_does_not_speak_is_told_before_anything_is_started(tmp_path: Path) -> None:
    data = tmp_path / "data"
    up = subprocess.run(
        [sys.executable, "-m", "ci_host", "up", "--data", str(data), "--port", str(free_port())],
        capture_output=True,
        text=True,
        env={**os.environ, "ALL_PROXY": "socks5://ada:hunter2@127.0.0.1:9"},
        timeout=PATIENCE_S,
    )
    assert up.returncode == 3
    assert "ALL_PROXY names a proxy of a kind that Staunch does not speak" in up.stderr
    assert "hunter2" not in up.stderr
    assert not (data / "logs").exists()
