"""Who has been silent for how long is said by one clock, and only by those who hear."""

from hypothesis import given
from hypothesis import strategies as st

from runners.signs_of_life import DEAF_AFTER_S, FORGOTTEN_AFTER_S, SignsOfLife


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_nobody_is_silent_for_one_who_has_not_heard_even_itself() -> None:
    clock = Clock()
    signs = SignsOfLife("own", clock)
    clock.seconds = 100
    assert signs.silence_s("b") == 0
    signs.hear("b")
    clock.seconds = 200
    assert signs.silence_s("b") == 0


def test_what_was_before_one_listened_is_no_silence() -> None:
    clock = Clock()
    signs = SignsOfLife("own", clock)
    clock.seconds = 100
    signs.hear("own")
    clock.seconds = 104
    assert signs.silence_s("never heard") == 4


def test_who_is_met_and_was_never_heard_is_silent_from_the_meeting_on() -> None:
    clock = Clock()
    signs = SignsOfLife("own", clock)
    clock.seconds = 100
    signs.hear("own")
    clock.seconds = 104
    signs.meet("b")
    clock.seconds = 110
    signs.meet("b")
    assert signs.silence_s("b") == 6


def test_a_meeting_is_no_sign_of_life_of_one_who_was_heard() -> None:
    clock = Clock()
    signs = SignsOfLife("own", clock)
    signs.hear("own")
    signs.hear("b")
    clock.seconds = 10
    signs.hear("own")
    signs.meet("b")
    assert signs.silence_s("b") == 10


def test_who_is_never_heard_again_is_forgotten_and_silent_all_the_same() -> None:
    clock = Clock()
    signs = SignsOfLife("own", clock)
    signs.hear("own")
    signs.hear("b")
    while clock.seconds < FORGOTTEN_AFTER_S + 10:
        clock.seconds += 5
        signs.hear("own")
    assert signs.silence_s("b") >= FORGOTTEN_AFTER_S


EVENTS = st.lists(
    st.tuples(st.floats(0, 30), st.sampled_from(["own", "b", "nothing"])), min_size=1, max_size=60
)


@given(EVENTS)
def test_a_silence_is_never_longer_than_the_time_in_which_both_would_have_been_heard(
    events: list[tuple[float, str]],
) -> None:
    clock = Clock()
    signs = SignsOfLife("own", clock)
    heard_b, heard_own, unbroken_since = float("-inf"), float("-inf"), 0.0
    for pause, what in events:
        clock.seconds += pause
        if what == "own":
            if clock.seconds - heard_own > DEAF_AFTER_S:
                unbroken_since = clock.seconds
            heard_own = clock.seconds
        if what == "b":
            heard_b = clock.seconds
        if what != "nothing":
            signs.hear(what)
        is_deaf = clock.seconds - heard_own > DEAF_AFTER_S
        expected = 0.0 if is_deaf else clock.seconds - max(heard_b, unbroken_since)
        assert signs.silence_s("b") == expected
