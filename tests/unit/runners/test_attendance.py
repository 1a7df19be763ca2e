"""A job ends once nobody looks after it, by a clock that nobody can set."""

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runners import job_directory
from runners.attendance import Attendance, attend


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Notes:
    """A job directory with the notes of an agent, and a clock beside it."""

    def __init__(self, root, limit_s: float) -> None:
        self.path = root / job_directory.DELIVERY
        self.path.write_text("{}")
        self.written = 10**18
        self.touch(0)
        self.clock = Clock()
        self.attendance = Attendance(str(root), limit_s, self.clock)

    def touch(self, by_ns: int) -> None:
        self.written += by_ns
        os.utime(self.path, ns=(self.written, self.written))


@given(
    pauses=st.lists(
        st.tuples(st.floats(0, 20), st.sampled_from([0, 1, -(10**12), 10**15])), max_size=20
    )
)
def test_a_job_ends_once_the_signs_of_an_agent_stop_for_as_long_as_the_limit(pauses) -> None:
    """Each pause ends with a sign (or with none: 0), whose own time may lie in the past."""
    with tempfile.TemporaryDirectory() as root:
        check(Notes(Path(root), limit_s=10), pauses)


def check(notes: Notes, pauses: list[tuple[float, int]]) -> None:
    assert notes.attendance.missed() == ""
    silent_since = notes.clock.seconds
    for pause_s, by_ns in pauses:
        notes.clock.seconds += pause_s
        notes.touch(by_ns)
        if by_ns:
            silent_since = notes.clock.seconds
        is_missed = bool(notes.attendance.missed())
        assert is_missed == (notes.clock.seconds - silent_since >= 10)


def test_the_sign_of_an_agent_is_one_that_its_shim_sees(tmp_path) -> None:
    notes = Notes(tmp_path, limit_s=10)
    notes.attendance.missed()
    notes.clock.seconds += 10
    attend(str(tmp_path))
    assert notes.attendance.missed() == ""
    notes.clock.seconds += 10
    assert notes.attendance.missed() == "no agent has looked after this job for 10 s"


def test_a_job_whose_notes_are_gone_is_looked_after_by_nobody(tmp_path) -> None:
    notes = Notes(tmp_path, limit_s=10)
    notes.path.unlink()
    attend(str(tmp_path))
    assert notes.attendance.missed() == ""
    notes.clock.seconds += 10
    assert notes.attendance.missed()
