"""What is made ready before anybody asks: blanks, and instances that have their code already."""

import pytest

from ci_host.tenant.guest import Breach, Refused, Trapped
from ci_host.tenant.pool import Blanks, Primed
from ci_host.tenant.sandbox import SandboxStarved


class CountingGuest:
    """A Guest that knows what it was called with and whether it is closed."""

    closed = False
    has_seen_clock = False

    def __init__(self, image):
        self.image = image
        self.loaded = None

    def call(self, export, argument, *, now, seconds):
        self.loaded = argument
        if error := self.image.errors.get(argument):
            raise error
        self.has_seen_clock = argument == "looks at the clock"
        return ""

    def close(self):
        self.closed = True


class CountingImage:
    """A GuestImage that remembers what it booted."""

    digest = "d"
    boot_kind = "counting"

    def __init__(self, errors=()):
        self.booted = []
        self.errors = dict(errors)

    def boot(self):
        self.booted.append(CountingGuest(self))
        return self.booted[-1]


def test_a_blank_is_used_once():
    image = CountingImage()
    blanks = Blanks(image, 2)
    blanks.refill()
    assert blanks.take() is image.booted[0]
    assert blanks.take() is image.booted[1]
    assert len(image.booted) == 2


def test_the_pool_is_filled_one_by_one_and_not_over_its_size():
    image = CountingImage()
    blanks = Blanks(image, 2)
    assert [blanks.refill() for _ in range(3)] == [True, True, False]
    assert len(blanks) == 2


def test_closing_closes_what_waits_and_keeps_nothing_more():
    image = CountingImage()
    blanks = Blanks(image, 2)
    blanks.refill()
    blanks.close()
    assert image.booted[0].closed
    assert not blanks.refill()


def test_a_pool_of_size_nothing_boots_on_demand():
    image = CountingImage()
    blanks = Blanks(image, 0)
    assert not blanks.refill()
    assert blanks.take() is image.booted[0]


def test_what_was_loaded_once_is_primed_and_used_once():
    image = CountingImage()
    primed = Primed(image, 2)
    assert primed.take("a") is None
    primed.want("a")
    assert [primed.prime(1), primed.prime(1)] == [True, False]
    assert primed.take("a").loaded == "a"
    assert primed.take("a") is None
    assert primed.prime(1), "it is likely to be asked for again"


def test_only_the_newest_codes_are_kept():
    image = CountingImage()
    primed = Primed(image, 2)
    for code in "abc":
        primed.want(code)
        primed.prime(1)
    assert primed.take("a") is None
    assert image.booted[0].closed
    assert primed.take("b").loaded == "b"
    primed.want("d")
    assert primed.take("c") is None, "b was used after it"


def test_code_that_looks_at_the_clock_is_not_primed():
    image = CountingImage()
    primed = Primed(image, 2)
    primed.want("looks at the clock")
    assert [primed.prime(1), primed.prime(1)] == [True, False]
    assert primed.take("looks at the clock") is None
    assert image.booted[0].closed


@pytest.mark.parametrize(
    "error", [Refused("{}"), Trapped(Breach.TIME, "", ""), SandboxStarved("busy")]
)
def test_code_that_cannot_be_primed_is_left_to_whoever_asks_for_it(error):
    image = CountingImage({"bad": error})
    primed = Primed(image, 2)
    primed.want("bad")
    assert [primed.prime(1), primed.prime(1)] == [True, False]
    assert image.booted[0].closed


def test_what_was_primed_is_closed_with_the_host():
    image = CountingImage()
    primed = Primed(image, 2)
    primed.want("a")
    primed.prime(1)
    primed.close()
    assert image.booted[0].closed
    primed.want("b")
    assert not primed.prime(1)
