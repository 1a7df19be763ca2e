"""step.gate, step.sleep, step.sleep_until, step.wait_for_event."""

import msgspec
import pytest

from pipelines.event import PullRequest
from tests.tenants import BEGIN, approved, rejected, signal, started


def test_a_gate_opens_for_an_approver_with_typed_inputs(play):
    run = play(
        """
        answer = await step.gate('deploy', approvers=['ann', 'bob'], inputs={'percent': int},
                                 timeout='7d', message='go?')
        return [answer.by, answer.inputs, answer.comment]
        """
    )
    first = run.start()
    terms = first.open.gates[0].terms
    assert (terms.approvers, terms.inputs, terms.message) == (
        ["ann", "bob"],
        {"percent": "int"},
        "go?",
    )
    assert terms.due == first.wake_at == BEGIN + 7 * 86400
    end = run.turn(approved("deploy", "bob", percent=25))
    assert end.end.output == [["bob"], {"percent": 25}, ""]
    assert end.open.gates == []


@pytest.mark.parametrize("inputs", [{}, {"percent": "25"}, {"percent": True}, {"percent": None}])
def test_an_answer_without_the_right_inputs_does_not_count(play, inputs):
    run = play("await step.gate('g', inputs={'percent': int})")
    run.start()
    after = run.turn(approved("g", "ann", **inputs))
    assert after.end is None
    assert after.open.gates[0].approved_by == []


def test_somebody_who_may_not_answer_can_neither_open_nor_reject(play):
    run = play("await step.gate('g', approvers=['ann'])")
    run.start()
    assert run.turn(approved("g", "eve"), rejected("g", "eve")).open.gates[0].approved_by == []
    assert run.turn(approved("g", "ann")).end.state == "succeeded"


def test_two_approvals_need_two_people(play):
    run = play("return (await step.gate('g', needed=2)).by")
    run.start()
    once = run.turn(approved("g", "ann"), approved("g", "ann"))
    assert once.open.gates[0].approved_by == ["ann"]
    assert run.turn(approved("g", "bob")).end.output == ["ann", "bob"]


def test_the_first_rejection_closes_the_gate(play):
    run = play("await step.gate('g', needed=2)")
    run.start()
    run.turn(approved("g", "ann"))
    end = run.turn(rejected("g", "bob", "not on a friday"))
    assert end.end.error.type == "GateRejected"
    assert end.end.error.message == "gate 'g' was rejected by bob: not on a friday"
    assert end.results[0].error.kind == "refused"


def test_a_gate_that_nobody_opens_times_out(play):
    run = play("await step.gate('g', timeout='1h')")
    run.start()
    end = run.wake()
    assert end.end.error.type == "GateTimedOut"
    assert str(end.results[0].state) == "timed_out"
    assert end.open.gates == []


def test_an_answer_after_the_deadline_is_too_late(play):
    run = play("await step.gate('g', timeout='1h')")
    run.start()
    assert run.turn(approved("g", "ann"), after=3601.0).end.error.type == "GateTimedOut"


CAUSED = {
    "sender": "Ada",
    "pull_request": PullRequest(
        number=7, action="opened", author="bob", base_ref="main", head_ref="fix"
    ),
}


def by_others(play, body):
    """A Run that ada's push and bob's pull request have caused."""
    run = play(body)
    event = msgspec.structs.replace(started().event, **CAUSED)
    return run, run.turn(msgspec.structs.replace(started(), event=event))


def test_who_caused_the_run_can_neither_open_nor_reject_a_gate_that_wants_others(play):
    run, first = by_others(play, "return (await step.gate('g', not_author=True)).by")
    assert first.open.gates[0].terms.barred == ["Ada", "bob"]
    after = run.turn(approved("g", "ada"), rejected("g", "ADA"), approved("g", "Bob"))
    assert (after.end, after.open.gates[0].approved_by) == (None, [])
    assert run.turn(approved("g", "eve")).end.output == ["eve"]


def test_a_gate_that_says_nothing_of_authors_takes_their_answers(play):
    run, first = by_others(play, "return (await step.gate('g')).by")
    assert first.open.gates[0].terms.barred == []
    assert run.turn(approved("g", "ada")).end.output == ["ada"]


def test_where_nobody_else_could_ever_answer_the_gate_says_so_at_once(play):
    _, first = by_others(play, "await step.gate('g', approvers=['ada'], not_author=True)")
    said = "needed=1, but not_author leaves 0 of the approvers: this run was caused by Ada, bob"
    assert first.end.error.message == said
    _, first = by_others(play, "await step.gate('g', approvers=['ada', '@ops'], not_author=True)")
    assert first.end is None


def test_a_timeout_may_open_the_gate_with_its_inputs_defaults(play):
    run = play(
        """
        asked = {'percent': Input(int, default=25)}
        answer = await step.gate('g', needed=2, inputs=asked, timeout='1h', on_timeout='approve')
        return [answer.by, answer.inputs, answer.comment]
        """
    )
    assert run.start().open.gates[0].terms.on_timeout == "approve"
    run.turn(approved("g", "ann", percent=50))
    end = run.wake()
    assert end.end.output == [[], {"percent": 25}, ""]
    assert str(end.results[0].state) == "succeeded"
    assert [outcome.digest for outcome in run.replayed()] == [made.digest for _, made in run.made]


def test_a_timeout_may_reject(play):
    body = "await step.gate('g', timeout='1h', on_timeout='reject')"
    run = play(body)
    run.start()
    end = run.wake()
    assert (end.end.error.type, str(end.results[0].state)) == ("GateRejected", "timed_out")
    assert end.end.error.message == "gate 'g' was rejected by its timeout"


def test_people_who_are_in_time_decide_whatever_the_timeout_would(play):
    run = play("return (await step.gate('g', timeout='1h', on_timeout='reject')).by")
    run.start()
    assert run.turn(approved("g", "ann")).end.output == ["ann"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("not_author=1", "not_author must be True or False, not 1"),
        ("on_timeout='open', timeout=1", "on_timeout must be one of raise, approve, reject"),
        ("on_timeout='approve'", "on_timeout='approve' needs a timeout"),
        (
            "on_timeout='approve', timeout=1, inputs={'n': int}",
            "needs a default for every input: the gate's inputs are n: int; missing: n",
        ),
    ],
)
def test_terms_that_cannot_be_kept_are_refused_at_the_call(play, options, said):
    assert said in play(f"await step.gate('g', {options})").start().end.error.message


def test_a_sleep_ends_at_its_due_time_and_not_before(play):
    run = play("await step.sleep('soak', '2h')\nreturn asyncio.get_running_loop().time()")
    first = run.start()
    assert first.commands[0].due == first.wake_at == BEGIN + 7200
    assert run.turn(signal("noise"), after=7199.0).end is None
    assert run.wake().end.output == BEGIN + 7200


def test_a_sleep_of_nothing_takes_no_turn(play):
    assert play("await step.sleep('nap', 0)").start().end.state == "succeeded"


def test_sleep_until_takes_epoch_seconds_and_zoned_datetimes(play):
    run = play(
        f"""
        from datetime import UTC, datetime
        await step.sleep_until('a', {BEGIN + 60})
        await step.sleep_until('b', datetime.fromtimestamp({BEGIN + 120}, UTC))
        """
    )
    assert run.start().wake_at == BEGIN + 60
    assert run.wake().wake_at == BEGIN + 120
    assert run.wake().end.state == "succeeded"


def test_sleep_until_refuses_a_datetime_without_a_zone(play):
    body = "import datetime\nawait step.sleep_until('a', datetime.datetime(2030, 1, 1))"
    assert "needs a time zone" in play(body).start().end.error.message


def test_a_wait_takes_the_signals_payload(play):
    run = play("return await step.wait_for_event('ready')")
    first = run.start()
    assert [(w.key, w.name, w.due) for w in first.open.waits] == [("ready", "ready", None)]
    assert run.turn(signal("ready", {"a": 1})).end.output == {"a": 1}


def test_signals_that_come_before_their_wait_are_kept_in_order(play):
    run = play(
        """
        await step.sleep('later', 100)
        first = await step.wait_for_event('one', event='ready')
        return [first, await step.wait_for_event('two', event='ready')]
        """
    )
    run.start()
    run.turn(signal("ready", 1, "s1"), signal("ready", 1, "s1"), signal("ready", 2, "s2"))
    assert run.wake().end.output == [1, 2]


def test_a_signal_that_meets_a_cancelled_wait_is_there_for_the_next(play):
    run = play(
        """
        first = asyncio.create_task(step.wait_for_event('one', event='ready'))
        second = asyncio.create_task(step.wait_for_event('stop'))
        await second
        first.cancel()
        return await step.wait_for_event('three', event='ready')
        """
    )
    run.start()
    run.turn(signal("stop", None, "s1"))
    assert run.turn(signal("ready", 5, "s2")).end.output == 5


def test_a_signal_that_does_not_match_stays_for_others(play):
    run = play(
        """
        mine = await step.wait_for_event('mine', event='built', match={'env': 'eu', 'of.n': 2})
        return [mine, await step.wait_for_event('any', event='built')]
        """
    )
    [wait] = run.start().open.waits
    assert (wait.name, wait.match) == ("built", {"env": "eu", "of.n": 2})
    right = {"env": "eu", "of": {"n": 2}, "more": 1}
    others = [None, [], "eu", {"env": "eu"}, {"env": "eu", "of": {"n": 3}}, {"env": "eu", "of": 2}]
    for number, payload in enumerate(others):
        assert run.turn(signal("built", payload, f"s{number}")).end is None
    assert run.turn(signal("built", right, "right")).end.output == [right, None]


@pytest.mark.parametrize(
    ("match", "payload", "fits"),
    [
        ({"n": 1}, {"n": 1.0}, True),
        ({"n": 1}, {"n": True}, False),
        ({"n": False}, {"n": 0}, False),
        ({"n": None}, {}, False),
        ({"n": None}, {"n": None}, True),
        ({"a.b": 1}, {"a.b": 1}, True),
        ({"a.b": 1}, {"a": {"b": 1}}, True),
        ({"a": {"b": [1]}}, {"a": {"b": [1]}}, True),
        ({"a": {"b": [1]}}, {"a": {"b": [True]}}, False),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, False),
    ],
)
def test_fields_match_if_they_are_equal_as_json(play, match, payload, fits):
    run = play(f"await step.wait_for_event('x', match={match})")
    run.start()
    assert (run.turn(signal("x", payload)).end is not None) is fits


def test_a_wait_for_any_of_several_says_which_it_was(play):
    run = play(
        """
        first = await step.wait_for_event('answer', event=['approved', 'denied'])
        name, payload = await step.wait_for_event('again', event=['approved', 'denied'])
        return [type(first).__name__, first.event, first.payload, name, payload]
        """
    )
    [wait] = run.start().open.waits
    assert wait.names == ["approved", "denied"]
    both = run.turn(
        signal("denied", 1, "s1"), signal("other", 2, "s2"), signal("approved", 3, "s3")
    )
    assert both.end.output == ["Received", "denied", 1, "approved", 3]
    assert both.results[0].value == {"event": "denied", "payload": 1}


def test_of_several_signals_that_are_there_the_oldest_is_taken_whatever_the_order_of_names(play):
    run = play(
        """
        await step.sleep('nap', 60)
        return (await step.wait_for_event('x', event=['b', 'a'])).event
        """
    )
    run.start()
    run.turn(signal("a", None, "s1"), signal("b", None, "s2"))
    assert run.wake().end.output == "a"


def test_what_is_waited_for_is_a_part_of_the_fingerprint(play):
    options = ["", ", match={'a': 1}", ", match={'a': 2}", ", event=['x']", ", event=['x', 'y']"]
    prints = [
        play(f"await step.wait_for_event('x'{one})").start().commands[0].fingerprint
        for one in options
    ]
    assert len(set(prints)) == len(options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("event=[]", "event must be the signal's name, or a list of names"),
        ("event=['a', 3]", "event must be the signal's name, or a list of names"),
        ("event=['a', 'a']", "names that differ"),
        ("match=[1]", "match must be a dict of the payload's fields"),
        ("match={}", "match must be a dict of the payload's fields"),
        ("match={1: 2}", "match must be a dict of the payload's fields"),
        ("match={'a': object()}", "is no plain data"),
    ],
)
def test_a_wait_for_nothing_that_can_be_is_refused(play, options, said):
    assert said in play(f"await step.wait_for_event('x', {options})").start().end.error.message


def test_a_wait_that_takes_too_long_times_out(play):
    run = play("await step.wait_for_event('ready', timeout='5m')")
    assert run.start().open.waits[0].due == BEGIN + 300
    assert run.wake().end.error.type == "StepTimedOut"


def test_signals_before_the_start_are_kept_too(play):
    run = play("return await step.wait_for_event('ready')")
    assert run.turn(signal("ready", 3), started()).end.output == 3
