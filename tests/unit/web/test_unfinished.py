"""What strangers begin is bounded, and a flood of one costs nobody else what they have begun."""

from hypothesis import given
from hypothesis import strategies as st

from ci_host.api.unfinished import Unfinished

MOST = 5


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def kept(unfinished, keys):
    return [key for key in keys if unfinished.get(key) is not None]


def test_a_flood_of_one_address_ends_only_its_own():
    unfinished = Unfinished(MOST, Clock())
    unfinished.put("hers", "x", by="192.0.2.1", until=600)
    for number in range(100):
        unfinished.put(f"flood-{number}", "x", by="192.0.2.66", until=600)
    unfinished.put("his", "x", by="192.0.2.2", until=600)
    assert kept(unfinished, ["hers", "his", "flood-99", "flood-98", "flood-97"]) == [
        "hers", "his", "flood-99", "flood-98", "flood-97",
    ]  # fmt: skip
    assert kept(unfinished, [f"flood-{number}" for number in range(97)]) == []


def test_what_somebody_has_answered_outlives_a_flood_of_the_same_address():
    unfinished = Unfinished(MOST, Clock())
    unfinished.put("answered", "asked", by="192.0.2.66", until=600)
    unfinished.replace("answered", "let in")
    for number in range(100):
        unfinished.put(f"flood-{number}", "x", by="192.0.2.66", until=600)
    assert unfinished.pop("answered") == "let in"
    assert unfinished.pop("answered") is None


def test_what_is_over_makes_room_before_anything_else():
    clock = Clock()
    unfinished = Unfinished(2, clock)
    unfinished.put("old", "x", by="a", until=10)
    unfinished.put("new", "x", by="a", until=20)
    clock.now = 10
    assert unfinished.get("old") is None
    unfinished.put("newest", "x", by="a", until=30)
    assert kept(unfinished, ["new", "newest"]) == ["new", "newest"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_there_are_never_more_than_there_is_room_for_and_the_newest_is_there(steps):
    unfinished = Unfinished(MOST, Clock())
    for number, (by, is_answered) in enumerate(steps):
        unfinished.put(str(number), "x", by=by, until=600)
        assert unfinished.get(str(number)) == "x"
        if is_answered:
            unfinished.replace(str(number), "y")
        assert len(kept(unfinished, map(str, range(number + 1)))) <= MOST


def test_the_addresses_of_one_machine_are_one_where_they_are_of_ipv6():
    unfinished = Unfinished(MOST, Clock())
    unfinished.put("hers", "x", by="2001:db8:1::7", until=600)
    for number in range(100):
        unfinished.put(f"flood-{number}", "x", by=f"2001:db8:2::{number:x}", until=600)
    assert unfinished.get("hers") == "x"


def test_what_somebody_is_answering_is_held():
    unfinished = Unfinished(MOST, Clock())
    unfinished.put("asked", "x", by="192.0.2.66", until=600)
    unfinished.hold("asked")
    for number in range(100):
        unfinished.put(f"flood-{number}", "x", by="192.0.2.66", until=600)
    assert unfinished.get("asked") == "x"
