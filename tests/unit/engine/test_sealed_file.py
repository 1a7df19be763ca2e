"""The file of encrypted secrets: what is written is read, and whatever else comes is refused."""

import pyrage
import pytest
import yaml
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
        (b"- a\n- b\n", "line 1: this must be `NAME: |`"),
        (b"A: |\n  a\nA: |\n  b\n", "line 3: A is there twice"),
        (b"A KEY: |\n", "line 1: this must be"),
        (b"1KEY: |\n", "line 1: this must be"),
        (b"# ours\n\nKEY: |\n  a\nOTHER: plain\n", "line 5: this must be"),
        (b"  KEY: |\n", "line 1: this must be"),
        (b"[" * 100_000, "line 1: this must be"),
        (b"A: &a |\n  x\nB: *a\n", "line 1: this must be"),
        (b"\xff\xfe\xfd", "no text in UTF-8"),
    ],
)
def test_a_file_of_another_form_is_refused_with_its_line(content: bytes, why: str) -> None:
    with pytest.raises(SealedFileRefused, match=why):
        entries_of(content)


def test_what_people_do_to_a_file_by_hand_is_read_too() -> None:
    file = "# ours\r\nONE: |-  \r\n\r\n    a\r\n    b\r\n# between\nTWO: |\n c"
    assert entries_of(file.encode()) == {"ONE": "a\nb", "TWO": "c"}


def test_what_is_written_is_yaml() -> None:
    file = written(written(b"", "ONE", SEALED), "TWO", SEALED)
    assert yaml.safe_load(file) == {"ONE": SEALED, "TWO": SEALED}


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
    ids=["a name", "a short value", "a long value", "a recipient"],
)
def test_what_no_host_could_use_is_not_encrypted(
    name: str, value: str, recipient: str, why: str
) -> None:
    with pytest.raises(SealedFileRefused, match=why):
        sealed_value(name, value, [recipient])


def test_an_entry_for_very_many_keys_holds_up_nobody() -> None:
    keys = [recipient_of(new_identity())] * 200
    with pytest.raises(SealedFileRefused, match="200 public keys; 10 are allowed"):
        sealed_value("KEY", "a value of it", keys)
    many = [pyrage.x25519.Recipient.from_str(one) for one in keys]
    sealed = pyrage.encrypt(b"KEY=a value of it", many, armored=True).decode()
    with pytest.raises(SealedFileRefused, match="KEY: it is encrypted for 200 public keys"):
        opened_value({"KEY": sealed}, "KEY", [IDENTITY])


def test_the_longest_value_opens_again() -> None:
    value = "\N{GRINNING FACE}" * 16_384
    keys = [recipient_of(new_identity()) for _ in range(9)] + [recipient_of(IDENTITY)]
    entries = {"KEY": sealed_value("KEY", value, keys)}
    assert opened_value(entries, "KEY", [IDENTITY]) == value
