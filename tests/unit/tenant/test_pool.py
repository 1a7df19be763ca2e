"""The pool of blanks."""

from ci_host.tenant.pool import Blanks


class CountingGuest:
    """A Guest that only knows whether it is closed."""

    closed = False

    def call(self, export, argument, *, now, seconds):
        return ""

    def close(self):
        self.closed = True


class CountingImage:
    """A GuestImage that remembers what it booted."""

    digest = "d"
    boot_kind = "counting"

    def __init__(self):
        self.booted = []

    def boot(self):
        self.booted.append(CountingGuest())
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
