"""A machine on which no sandbox can be made is found out, not crashed on."""

import subprocess

import pytest

from runners import probe


def test_a_process_that_may_not_unshare_is_a_finding_with_its_fix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise subprocess.SubprocessError("Exception occurred in preexec_fn.")

    monkeypatch.setattr(subprocess, "run", refuse)
    (said,) = probe.blockers("/usr/bin/bwrap", 64_000)
    assert "may not unshare or mount" in said
    assert "in a container" in said
