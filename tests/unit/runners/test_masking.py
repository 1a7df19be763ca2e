"""Masking: no form of a secret comes through, and where the chunks are cut makes no difference."""

import base64
import html
import json
import shlex
import textwrap
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runners.masking import MASK, Forms, Masker, UnmaskableError, check_secret, forms

# Few letters, so that secrets overlap each other and themselves; no asterisk, as in the mask.
SECRETS = st.lists(st.text("ab\n\"/é'", min_size=8, max_size=20).map(str.encode), max_size=4).map(
    lambda values: [value for value in values if any(len(x.strip()) >= 8 for x in value.split())]
)


def masked(secrets: list[bytes], chunks: list[bytes]) -> bytes:
    masker = Masker(Forms(secrets))
    return b"".join([*map(masker.feed, chunks), masker.end()])


@given(st.data(), SECRETS)
def test_any_cut_gives_the_same_text_and_no_form_comes_through(
    data: st.DataObject, secrets: list[bytes]
) -> None:
    looked_for = sorted({form for secret in secrets for form in forms(secret)})
    filler = st.text('ab\n"/é', max_size=12).map(str.encode)
    piece = filler | st.sampled_from(looked_for) if looked_for else filler
    text = b"".join(data.draw(st.lists(piece, max_size=12)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    edges = [0, *cuts, len(text)]
    chunks = [text[start:end] for start, end in pairwise(edges)]
    whole = masked(secrets, [text])
    assert masked(secrets, chunks) == whole
    assert masked(secrets, [bytes([byte]) for byte in text]) == whole
    assert not [form for form in looked_for if form in whole]


@pytest.mark.parametrize("before", [b"", b"u", b"us", b"use"])
def test_base64_of_a_secret_amid_other_bytes_is_masked(before: bytes) -> None:
    secret = b"hunter2-hunter2"
    coded = base64.b64encode(before + secret + b":tail")
    assert MASK in masked([secret], [coded])


def test_url_json_hex_and_single_lines_are_masked() -> None:
    secret = 'first "line" é\nsecond/line+x'
    raw = secret.encode()
    for text in (quote(secret, safe=""), json.dumps(secret)[1:-1], raw.hex(), raw.hex().upper()):
        assert masked([raw], [b"<" + text.encode() + b">"]) == b"<***>"
    assert masked([raw], [b"| second/line+x |"]) == b"| *** |"


def test_only_what_may_begin_a_secret_is_held_back_for_as_long_as_it_may() -> None:
    masker = Masker(Forms([b"hunter2-hunter2"]))
    assert masker.feed(b"password: hunt") == b"password: "
    assert masker.feed(b"") == b""
    assert masker.feed(b"ing\n") == b"hunting\n"
    assert masker.feed(b"hunter2-hunter2") == MASK
    assert masker.feed(b"hunter2-") == b""
    assert masker.feed(b"hunting\n") == b"hunter2-hunting\n"


@pytest.mark.parametrize(("tail", "shown"), [(b"hunt", b"hunt"), (b"hunter2-", MASK)])
def test_a_secret_that_the_streams_end_cuts_off_is_masked_where_much_of_it_is_there(
    tail: bytes, shown: bytes
) -> None:
    masker = Masker(Forms([b"hunter2-hunter2"]))
    assert masker.feed(b"<" + tail) + masker.end() == b"<" + shown
    assert masker.feed(b"er2-hunter2") + masker.end() == b"er2-hunter2", "another stream"


@pytest.mark.parametrize(
    ("code", "width"), [(bytes.hex, 60), (base64.b64encode, 64), (base64.b64encode, 76)]
)
def test_what_programs_break_into_lines_is_masked_line_by_line(
    code: Callable[[bytes], str | bytes], width: int
) -> None:
    key = "".join(f"{number:03d}-abc-" for number in range(42))
    coded = code(key.encode())
    lines = textwrap.wrap(coded if isinstance(coded, str) else coded.decode(), width)
    text = "\n".join(lines).encode()
    assert masked([key.encode()], [text]) == b"\n".join([MASK] * len(lines))


def test_a_shells_trace_and_xml_show_no_secret() -> None:
    secret = 'it\'s <one> & "all"'
    for text in (shlex.quote(secret), html.escape(secret), "'it'\\''s <one> & \"all\"'"):
        assert masked([secret.encode()], [text.encode()]).strip(b"'") == MASK


def test_overlapping_secrets_become_one_mask() -> None:
    assert masked([b"12345678", b"5678abcd"], [b"<12345678abcd>"]) == b"<***>"


def test_a_value_too_short_to_mask_is_refused_with_the_reason() -> None:
    with pytest.raises(UnmaskableError, match="8 bytes or more"):
        check_secret(b"short\nlines")


def test_a_value_that_holds_the_mask_is_refused_and_not_shown() -> None:
    with pytest.raises(UnmaskableError, match=r"holds \*\*\*") as told:
        check_secret(b"a-very-***-long-secret")
    assert "very" not in str(told.value)
