"""step.set: what a Run says of itself."""

import pytest
from staunch.notes import TEXT_CHARS_MAX

from pipelines.codec import decode_turn
from pipelines.note import Note
from tests.tenants import signal


def test_the_newest_of_a_turn_is_kept_with_it_and_costs_no_command(play):
    run = play(
        """
        step.set("first")
        step.scope("eu").set("building", done=3, total=7)
        await step.sleep("s", 5)
        """
    )
    first = run.start()
    assert first.note == Note(text="building", done=3, total=7)
    assert [command.key for command in first.commands] == ["s"]
    assert run.turn(signal("noise")).note is None


def test_a_replay_says_the_same_and_decides_what_it_would_without(play):
    body = "step.set('a')\nawait step.sleep('s', 5)\nstep.set('b')\n"
    run, silent = play(body), play("await step.sleep('s', 5)")
    run.start(), silent.start()
    run.wake(), silent.wake()
    assert [outcome.note for outcome in run.replayed()] == [Note(text="a"), Note(text="b")]
    assert [o.digest for _, o in run.made] == [o.digest for _, o in silent.made]


def test_a_text_is_one_line_up_to_its_limit(play):
    assert play("step.set(' a\\n\\tb\\x1b[2J\\ud800 ')").start().note.text == "a b [2J"
    assert play(f"step.set('x' * {TEXT_CHARS_MAX})").start().note.text == "x" * TEXT_CHARS_MAX
    cut = play(f"step.set('x' * {TEXT_CHARS_MAX + 1})").start().note.text
    assert cut == "x" * (TEXT_CHARS_MAX - 1) + "…"


@pytest.mark.parametrize(
    ("note", "words"),
    [
        (Note(), ""),
        (Note(text="building"), "building"),
        (Note(text="building", done=3, total=7), "building (3 of 7)"),
        (Note(text="copied", done=1234567), "copied (1,234,567)"),
        (Note(done=0.5, total=1.0), "0.5 of 1"),
    ],
)
def test_it_is_told_in_one_line(note, words):
    assert note.words() == words


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("step.set(7)", "step.set needs a text, not 7"),
        ("step.set('a', done='3')", "done must be a number, not '3'"),
        ("step.set('a', done=True)", "done must be a number, not True"),
        ("step.set('a', done=-1)", "done must be 0 or more, and finite, not -1"),
        ("step.set('a', done=1, total=float('nan'))", "total must be 0 or more, and finite"),
        ("step.set('a', total=7)", "total=7 says nothing without done=…"),
        ("await step.do('x', lambda: step.set('a'))", "inside the body of step.do('x')"),
    ],
)
def test_a_wrong_argument_says_what_would_be_right(play, call, says):
    assert says in play(call).start().end.error.message


def test_a_turn_of_before_there_were_notes_is_read():
    body = b'{"number":1,"consumed":[],"through":1,"by":"e","now":1.0,"digest":"d",'
    assert decode_turn(body + b'"state":"running"}').note is None
