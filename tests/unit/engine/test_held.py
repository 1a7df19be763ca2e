"""Processes that load their code before there is anything to work on."""

import subprocess
import sys

from ci_host.held import Held
from tests.patience import PATIENCE_S

CODE = "import sys; print('loaded', flush=True); print('told', sys.stdin.read())"


def start(held: Held) -> "subprocess.Popen[str]":
    command = [sys.executable, "-I", "-c", CODE]
    with held.input_of() as stdin:
        return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True)


def test_those_that_are_held_are_told_all_at_once_and_whoever_comes_later_at_once():
    held = Held()
    early = [start(held), start(held)]
    for one in early:
        assert one.stdout is not None
        assert one.stdout.readline() == "loaded\n"
        assert one.poll() is None, "it waits"
    held.release(b"where")
    late = start(held)
    assert [one.communicate(timeout=PATIENCE_S)[0] for one in [*early, late]] == [
        "told where\n", "told where\n", "loaded\ntold where\n",
    ]  # fmt: skip


def test_one_that_is_held_ends_by_a_signal_as_any_other():
    held = Held()
    one = start(held)
    assert one.stdout is not None
    assert one.stdout.readline() == "loaded\n"
    one.terminate()
    assert one.wait(PATIENCE_S) != 0
    one.stdout.close()
    held.release(b"")


def test_those_that_there_is_no_work_for_are_told_nothing():
    held = Held()
    one = start(held)
    held.release(b"")
    assert one.communicate(timeout=PATIENCE_S)[0] == "loaded\ntold \n"
