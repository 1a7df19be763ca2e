"""memory= and disk= of step.job: what may be written, and what is said of the rest."""

import pytest
from staunch.sizes import size


@pytest.mark.parametrize(
    ("given", "found"),
    [("512m", 512 << 20), ("2g", 2 << 30), ("1.5 GiB", 3 << 29), (16 << 20, 16 << 20)],
)
def test_a_size_is_bytes(given, found):
    assert size(given, "memory") == found


@pytest.mark.parametrize("given", ["2", "much", "-1g", "15m", 5, "2000t"])
def test_what_is_no_size_is_named(given):
    with pytest.raises(ValueError, match=r"^memory"):
        size(given, "memory")


@pytest.mark.parametrize("given", [None, True, 1.5])
def test_what_cannot_be_one_is_named(given):
    with pytest.raises(TypeError, match=r"^memory must be"):
        size(given, "memory")


def test_a_job_says_what_it_needs_or_nothing(play):
    run = play("await step.job('big', run='make', memory='2g', disk='10g')")
    [big] = run.start().commands
    assert (big.request.memory_bytes, big.request.disk_bytes) == (2 << 30, 10 << 30)
    plain = play("await step.job('a', run='make')").start().commands[0]
    same = play("await step.job('a', run='make', memory=None)").start().commands[0]
    assert plain.fingerprint == same.fingerprint
