"""A log in a terminal has its colours, and nothing that a terminal would obey besides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_host.cli.coloured import Coloured

RED, PLAIN = "\x1b[1;31m", "\x1b[0m"
HOSTILE = {
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "title": "\x1b]0;you are root\x1b\\",
    "clear": "\x1b[2J\x1b[H",
    "up a line": "\x1b[1A",
    "alternate screen": "\x1b[?1049h",
    "8-bit": "\x9b2J",
    "device": "\x1bP1$r0m\x1b\\",
    "reset": "\x1bc",
    "bell": "\x07",
    "written right to left": "\u202e",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_terminal_is_told_nothing_but_colours(name):
    shown = Coloured().shown(f"{RED}FAIL{PLAIN} {HOSTILE[name]}it\tis\n")
    assert shown.startswith(f"{RED}FAIL{PLAIN} ") and shown.endswith("it\tis\n")
    rest = shown.replace(RED, "").replace(PLAIN, "")
    assert all(char.isprintable() or char in "\n\t" for char in rest)
    assert "evil" not in rest and "root" not in rest


PIECES = st.lists(
    st.sampled_from([RED, PLAIN, "text\n", "é ", "\r", *HOSTILE.values()]), max_size=8
)


@given(PIECES, st.data())
def test_where_a_log_is_cut_changes_nothing_of_what_is_shown(parts, data):
    whole = "".join(parts) + "\n"
    cut = data.draw(st.integers(0, len(whole)))
    pieces = Coloured()
    shown = pieces.shown(whole[:cut]) + pieces.shown(whole[cut:])
    assert shown == Coloured().shown(whole)


def test_a_log_with_nothing_but_text_is_as_it_was():
    text = "héllo\twörld\n" * 3
    assert Coloured().shown(text) == text
