"""Pause: what a Run takes of what has happened to it, and who holds it afterwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.events import (
    CancelRequested,
    Input,
    KillRequested,
    PauseRequested,
    ResumeRequested,
    SignalSent,
)
from pipelines.pause import holder_after, taken
from pipelines.run import FINAL, IllegalMove, Move, RunState, after

OF_LETTER: dict[str, Input] = {
    "s": SignalSent(id="s", name="go"),
    "p": PauseRequested(id="p", by="ada"),
    "r": ResumeRequested(id="r", by="ada"),
    "c": CancelRequested(id="c", by="ada"),
    "k": KillRequested(id="k", by="ada"),
}
# (state, what waits, what the next Turn takes of it)
CASES = [
    (RunState.RUNNING, "sss", "sss"),
    (RunState.RUNNING, "spss", "sp"),
    (RunState.RUNNING, "ppr", "p"),
    (RunState.RUNNING, "rs", "rs"),
    (RunState.PENDING, "sp", "sp"),
    (RunState.PAUSED, "", ""),
    (RunState.PAUSED, "sss", ""),
    (RunState.PAUSED, "sps", ""),
    (RunState.PAUSED, "ssrs", "ssrs"),
    (RunState.PAUSED, "ssc", "ssc"),
    (RunState.PAUSED, "sprspsr", "sprsp"),
    (RunState.PAUSED, "sk", "sk"),
    (RunState.RUNNING, "spsks", "spsks"),
]


def inputs(letters: str) -> list[Input]:
    return [OF_LETTER[letter] for letter in letters]


@pytest.mark.parametrize(("state", "waiting", "expected"), CASES)
def test_what_a_run_takes(state: RunState, waiting: str, expected: str) -> None:
    assert waiting[: taken(state, inputs(waiting))] == expected


@given(st.text(alphabet="sprc", max_size=12))
def test_who_holds_a_run_is_who_its_turns_leave_it_with(waiting: str) -> None:
    """What a person is told before the Turns are made is what they come to."""
    state, left = RunState.RUNNING, inputs(waiting)
    while count := taken(state, left):
        paused = isinstance(left[count - 1], PauseRequested)
        state, left = RunState.PAUSED if paused else RunState.RUNNING, left[count:]
    assert (holder_after(None, inputs(waiting)) is not None) == (state is RunState.PAUSED)


def test_a_paused_run_must_resume_before_it_can_succeed() -> None:
    with pytest.raises(IllegalMove, match="run_resumed"):
        after(RunState.PAUSED, Move.SUCCEEDED)
    assert after(after(RunState.PAUSED, Move.RESUMED), Move.SUCCEEDED) is RunState.SUCCEEDED


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_run_that_is_over_cannot_be_paused(state: RunState) -> None:
    with pytest.raises(IllegalMove, match="the run is over"):
        after(state, Move.PAUSED)
