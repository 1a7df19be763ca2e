"""Payloads that were changed at random: parsed, ignored or malformed, and nothing else ever."""

import json
from collections import Counter

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from pipelines.repo import ForgeKind
from tests.fuzz.judge import judged
from tests.fuzz.mutations import DEEP, VALUES, mutated, written
from tests.payloads import EVENTS, PAYLOADS, event_of, kind_of

NAMES = sorted({name for names in EVENTS.values() for name in names.values()})
EXAMPLES = 250


@pytest.mark.parametrize("kind", list(ForgeKind))
def test_a_mutated_payload_is_parsed_ignored_or_malformed_and_nothing_else(kind):
    names = sorted(name for name in PAYLOADS if kind_of(name) is kind)
    became: Counter[str] = Counter()

    @seed(1)
    @settings(max_examples=EXAMPLES, database=None)
    @given(data=st.data())
    def check(data):
        def below(n):
            return data.draw(st.integers(0, n - 1))

        name = names[below(len(names))]
        body = written(mutated(PAYLOADS[name], below), below)
        became[judged(kind, event_of(name), body)] += 1

    check()
    # They are mutations of what means something: some still do.
    assert became["parsed"] and became["malformed"], became


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_each_field_may_have_any_type_and_any_size(name):
    """One field after the other, each of every value that has been somebody's crash."""
    payload = PAYLOADS[name]
    for holder, key in fields(payload):
        kept = holder[key]
        for value in VALUES:
            holder[key] = value
            judged(kind_of(name), event_of(name), json.dumps(payload))
        del holder[key]
        judged(kind_of(name), event_of(name), json.dumps(payload))
        holder[key] = kept


def fields(value):
    """Everywhere a field is, as the object that holds it and its name."""
    if isinstance(value, list):
        for one in value[:1]:
            yield from fields(one)
    if isinstance(value, dict):
        for key in list(value):
            yield value, key
            yield from fields(value[key])


@given(
    kind=st.sampled_from(list(ForgeKind)),
    event=st.sampled_from([*NAMES, "create", ""]),
    body=st.binary(max_size=200) | st.sampled_from([json.dumps(DEEP), b"[" * 200_000, b"\xff", ""]),
)
def test_bytes_from_anywhere_are_parsed_ignored_or_malformed_and_nothing_else(kind, event, body):
    judged(kind, event, body)
