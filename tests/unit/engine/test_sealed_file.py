"""The file of encrypted secrets: what is written is read, and whatever else comes is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_host.sealed_file import (
    SealedFileRefused,
    entries_of,
    new_identity,
    opened_value,
    recipient_of,
    sealed_value,
    written,
)
from pipelines.secret import unkeepable

IDENTITY = new_identity()
OTHER = new_identity()
NAMES = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,20}\Z")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
VALUES = TEXTS.filter(lambda text: not unkeepable(text))


@given(st.dictionaries(NAMES, VALUES, max_size=5))
@settings(max_examples=50, deadline=None)
def test_what_was_written_is_opened_again_whatever_it_is(values: dict[str, str]) -> None:
    file = b""
    for name, value in values.items():
        file = written(file, name, sealed_value(name, value, [recipient_of(IDENTITY)]))
    entries = entries_of(file)
    assert {name: opened_value(entries, name, [OTHER, IDENTITY]) for name in entries} == values


@given(st.binary(max_size=300) | TEXTS.map(str.encode))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_entries_or_are_refused(content: bytes) -> None:
    try:
        entries = entries_of(content)
    except SealedFileRefused:
        return
    for name in entries:
        with pytest.raises(SealedFileRefused):
            opened_value(entries, name, [IDENTITY])


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_entry_opens_as_it_was_or_not_at_all(data: st.DataObject) -> None:
    sealed = SEALED
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + data.draw(st.characters(codec="ascii")) + sealed[at + 1 :]
    try:
        assert opened_value({"KEY": changed}, "KEY", [IDENTITY]) == "a value of it"
    except SealedFileRefused as refused:
        assert "a value of it" not in str(refused)


SEALED = sealed_value("KEY", "a value of it", [recipient_of(IDENTITY)])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"- a\n- b\n", "must be a list of"),
        (b"KEY: a\nKEY: b\n", "line 2: KEY is there twice"),
        (b"A KEY: a\n", "line 1: a name is of letters"),
        (b"KEY:\n  deeper: a\n", "line 1: KEY must be an age file"),
        (b"[" * 100_000, "no YAML that could be read"),
        (b"\xff\xfe\xfd", "no YAML that could be read"),
        (b"a: &a x\nb: [*a, *a]\n", "line 2: b must be an age file"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_line(content: bytes, why: str) -> None:
    with pytest.raises(SealedFileRefused, match=why):
        entries_of(content)


def test_a_change_of_one_value_changes_its_lines_alone_and_comments_at_the_top_stay() -> None:
    first = written(b"# ours\n\n", "ONE", SEALED)
    both = written(first, "TWO", SEALED)
    assert both.startswith(first)
    again = written(both, "ONE", sealed_value("ONE", "another one", [recipient_of(IDENTITY)]))
    assert again.startswith(b"# ours\nONE: |\n  -----BEGIN")
    assert again[again.index(b"TWO") :] == both[both.index(b"TWO") :]
    assert b"`staunch secret encrypt" in written(b"", "ONE", SEALED)


@pytest.mark.parametrize(
    ("name", "value", "recipient", "why"),
    [
        ("NO-NAME", "a value of it", recipient_of(IDENTITY), "no name of a secret"),
        ("KEY", "short", recipient_of(IDENTITY), "8 bytes or more"),
        ("KEY", "x" * 70_000, recipient_of(IDENTITY), "65,536 are allowed"),
        ("KEY", "a value of it", "age1nothing", "no public key of age"),
    ],
)
def test_what_no_host_could_use_is_not_encrypted(
    name: str, value: str, recipient: str, why: str
) -> None:
    with pytest.raises(SealedFileRefused, match=why):
        sealed_value(name, value, [recipient])


def test_the_longest_value_opens_again() -> None:
    value = "\N{GRINNING FACE}" * 16_384
    keys = [recipient_of(new_identity()) for _ in range(50)] + [recipient_of(IDENTITY)]
    entries = {"KEY": sealed_value("KEY", value, keys)}
    assert opened_value(entries, "KEY", [IDENTITY]) == value
