"""Which comments are commands: an exact first line, on a pull request, when it is new."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhooks.comments import GATE_CHARS_MAX, NO_COMMAND, commanded
from webhooks.errors import Malformed
from webhooks.forge import Command, CommandWord, Ignored
from webhooks.payload import moment_of

ONE, LONG = "1" * 40, "a" * 64


def said(body: str, *, login: str | None = "ada", number: int = 7) -> Command | Ignored:
    found = commanded(
        "1", "acme/shop", number=number, ref="refs/pull/7/head", login=login, body=body
    )
    if isinstance(found, Ignored):
        return found
    (parsed,) = found
    assert (parsed.event.commit, parsed.event.ref) == ("", "refs/pull/7/head")
    assert parsed.command is not None
    return parsed.command


@pytest.mark.parametrize(
    ("body", "word", "commit"),
    [
        (f"/staunch ok-to-test {ONE}", CommandWord.OK_TO_TEST, ONE),
        (f"/staunch ok-to-test {LONG}\r\nI read it", CommandWord.OK_TO_TEST, LONG),
        ("/staunch rerun", CommandWord.RERUN, ""),
        (f"/staunch\trerun  {ONE} \n\n", CommandWord.RERUN, ONE),
        ("/staunch cancel\n/staunch rerun", CommandWord.CANCEL, ""),
        ("/staunch approve", CommandWord.APPROVE, ""),
        (f"/staunch approve {LONG}", CommandWord.APPROVE, LONG),
    ],
)
def test_a_first_line_that_is_a_command_to_the_letter_is_one(body, word, commit):
    assert said(body) == Command(word, 7, "ada", commit)


@pytest.mark.parametrize(
    ("rest", "gate", "commit"),
    [
        ("go-live", "go-live", ""),
        ("  go  live\t \r\n/staunch cancel", "go  live", ""),
        ("staunch/ci (pull request)/eu/go-live#2", "staunch/ci (pull request)/eu/go-live#2", ""),
        (f'"go live" {ONE}', '"go live"', ONE),
        (f"go-live\t{LONG} ", "go-live", LONG),
        (f"{ONE} {ONE}", ONE, ONE),
        (f"go-live {ONE[:39]}", f"go-live {ONE[:39]}", ""),
        (f"go-live {'A' * 40}", f"go-live {'A' * 40}", ""),
        ("--all; $(id) `id` *", "--all; $(id) `id` *", ""),
        ("los \u00a0gehts 🚦", "los \u00a0gehts 🚦", ""),
        ("x" * GATE_CHARS_MAX, "x" * GATE_CHARS_MAX, ""),
    ],
)
def test_the_rest_of_the_line_is_the_gates_name_but_for_a_commit_at_its_end(rest, gate, commit):
    asked = Command(CommandWord.APPROVE, 7, "ada", commit, gate=gate)
    assert said(f"/staunch approve {rest}") == asked


@pytest.mark.parametrize(
    "rest",
    ["go\x00live", "go\tlive", "go\x1b[0mlive", "go\u2028live", "go\ud800", "\x7f",
     "x" * (GATE_CHARS_MAX + 1), " " * 60_000 + "x" * (GATE_CHARS_MAX + 1)],
)  # fmt: skip
def test_what_no_gate_can_be_called_is_no_command(rest):
    told = said(f"/staunch approve {rest}")
    assert isinstance(told, Ignored) and "[<gate>]" in told.reason and len(told.reason) < 500


@pytest.mark.parametrize(
    "body",
    [
        "",
        "LGTM",
        f"\n/staunch ok-to-test {ONE}",
        f" /staunch ok-to-test {ONE}",
        f"> /staunch ok-to-test {ONE}",
        "please /staunch rerun",
        "/staunchly rerun",
        "/STAUNCH rerun",
        "`/staunch rerun`",
    ],
)
def test_what_does_not_begin_with_a_command_is_talk(body):
    assert said(body) == NO_COMMAND


@pytest.mark.parametrize(
    "line",
    [
        "/staunch",
        "/staunch ok-to-test",
        f"/staunch ok-to-test {ONE[:39]}",
        f"/staunch ok-to-test {ONE}0",
        f"/staunch ok-to-test {'A' * 40}",
        f"/staunch ok-to-test {ONE} {ONE}",
        f"/staunch ok-to-test HEAD {ONE}",
        f"/staunch cancel {ONE}",
        "/staunch rerun now",
        "/staunch rerun $(id)",
        "/staunch rerun --all",
        "/staunch Rerun",
        "/staunch approved",
        "/staunch approve\u00a0x",
        "/staunch Approve x",
        "/staunch rerun\u2028/staunch cancel",
        "/staunch rerun\x00",
        "/staunch rerun\u00a0",
        f"/staunch ok-to-test {chr(0x0661) * 40}",
        "/staunch " + "x" * 10_000,
    ],
)
def test_what_is_nearly_a_command_is_none_and_is_told_which_there_are(line):
    told = said(line)
    assert isinstance(told, Ignored)
    assert "is no command; there are `/staunch ok-to-test <full commit id>`" in told.reason
    assert len(told.reason) < 500


@pytest.mark.parametrize(
    "login", [None, "", "-x", "a b", "a/b", "../x", "a?x=1", "a\n", "$(id)", "x" * 256, "[bot]"]
)
def test_an_author_whose_name_is_no_login_commands_nothing(login):
    told = said("/staunch rerun", login=login)
    assert isinstance(told, Ignored) and "which is no login" in told.reason


@pytest.mark.parametrize("login", ["ada", "dependabot[bot]", "a_b-c.d", "7", "x" * 255])
def test_logins_of_people_and_of_bots_are_taken_as_they_are(login):
    assert said("/staunch cancel", login=login) == Command(CommandWord.CANCEL, 7, login)


@pytest.mark.parametrize("number", [0, -1, 2**53 + 1])
def test_a_number_that_no_pull_request_has_is_malformed(number):
    with pytest.raises(Malformed):
        said("/staunch rerun", number=number)


@pytest.mark.parametrize(
    "told",
    [
        "2026-11-26T12:00:00Z",
        "2026-11-26T12:00:00.000Z",
        "2026-11-26T13:00:00.25+01:00",
        "2026-11-26 12:00:00 UTC",
        1_795_694_400_000,
    ],
)
def test_when_a_comment_was_written_is_read_as_each_forge_says_it(told):
    assert int(moment_of(told)) == 1_795_694_400


@pytest.mark.parametrize(
    "told", [None, "", "now", "2026-11-26T12:00:00", "2026-13-01T00:00:00Z", 0, -5, -1e300]
)
def test_a_time_in_another_form_is_none(told):
    assert moment_of(told) == 0


@given(st.text() | st.floats() | st.integers())
def test_no_time_breaks_a_payload(told):
    assert moment_of(told) >= 0


@given(st.text() | st.text().map(lambda text: f"/staunch {text}"))
def test_any_text_at_all_is_a_command_or_ignored(body):
    told = said(body)
    assert isinstance(told, Ignored) or told.word in CommandWord
