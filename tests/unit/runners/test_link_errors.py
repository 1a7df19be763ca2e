"""What is told of a server that is away."""

from runners.link.errors import AGAIN_S, Errors


def test_the_same_error_is_told_once_in_a_while_and_another_one_at_once() -> None:
    clock = [0.0]
    errors = Errors(lambda: clock[0])
    assert errors.news_of(OSError("refused")) == "refused"
    clock[0] += AGAIN_S / 2
    assert errors.news_of(OSError("refused")) == ""
    assert errors.news_of(TimeoutError()) == "TimeoutError"
    assert errors.news_of(OSError("refused")) == "refused"
    clock[0] += AGAIN_S
    assert errors.news_of(OSError("refused")) == "refused"
