"""step.usage: what a plan may know of its limits; what is near a limit, and what is over it."""

from hypothesis import given
from hypothesis import strategies as st

from pipelines.codec import decode_turn, encode_turn
from pipelines.guest.limits import EVENTS_RUN_MAX, HISTORY_BYTES_MAX, STEPS_RUN_MAX
from pipelines.history import HistoryView
from pipelines.near_limits import broken_limit, crossed, near_limits, room_for_events
from pipelines.run import RunState
from pipelines.turn import TURN_BYTES_MAX, Turn
from pipelines.usage import Usage
from tests.tenants import signal

LIMITS = {
    "events": EVENTS_RUN_MAX,
    "steps": STEPS_RUN_MAX,
    "history_bytes": HISTORY_BYTES_MAX,
    "turn_bytes": TURN_BYTES_MAX,
}
SIZES = st.integers(0, 2 * TURN_BYTES_MAX)
TURNS = st.lists(
    st.fixed_dictionaries(
        {
            "events": st.integers(0, 20_000),
            "steps": st.integers(0, STEPS_RUN_MAX),
            "input_bytes": SIZES,
            "turn_bytes": SIZES,
        }
    ),
    max_size=30,
)

COUNTS = """
seen = []
def look():
    usage = step.usage
    seen.append([usage.events, usage.steps, usage.history_bytes, usage.is_high])
look()
await step.do("one", lambda: 1)
eu = step.scope("eu")
await eu.do("two", lambda: 2)
look()
await step.wait_for_event("go")
look()
await step.sleep("s", 5)
look()
return seen
"""


def test_a_plan_sees_what_it_has_used_and_the_same_on_replay(play):
    run = play(COUNTS)
    run.start()
    run.history_bytes = 700
    # The second is not taken by anybody, and has happened all the same.
    run.turn(signal("go"), signal("noise", identity="s2"))
    run.history_bytes = HISTORY_BYTES_MAX // 2
    end = run.wake().end
    assert end is not None and end.output == [
        [1, 0, 0, False],
        [1, 2, 0, False],
        [2, 3, 700, False],
        [4, 4, HISTORY_BYTES_MAX // 2, True],
    ]
    assert [o.digest for o in run.replayed()] == [o.digest for _, o in run.made]
    assert [outcome.steps for _, outcome in run.made] == [3, 4, 4]


def test_half_of_a_limit_is_high_and_one_less_is_not(play):
    body = "async def used():\n    return step.usage.is_high\n"
    body += f"for n in range({STEPS_RUN_MAX // 2 - 1}):\n"
    body += "    await step.do('s', int)\n    if n % 9_000 == 0: await step.sleep('s', 1)\n"
    run = play(body + "before = step.usage\nawait step.do('t', int)\nreturn [before.is_high,"
               " before.steps, before.steps_max, step.usage.is_high]")  # fmt: skip
    outcome = run.start()
    while outcome.end is None:
        outcome = run.wake()
    steps = STEPS_RUN_MAX // 2 + 1
    assert outcome.end.output == [True, steps, STEPS_RUN_MAX, True]
    assert outcome.steps == steps + 1


def test_of_each_limit_half_is_near_all_is_kept_and_one_more_is_over():
    for name, most in LIMITS.items():
        assert near_limits(Usage(**{name: most // 2 - 1})) == []
        [near] = near_limits(Usage(**{name: most // 2}))
        assert (near.limit, near.used, near.max) == (name, most // 2, most)
        assert f"{most // 2:,} of at most {most:,} " in near.words() and near.advice()
        assert broken_limit(Usage(**{name: most})) is None
        broken = broken_limit(Usage(**{name: most + 1}))
        assert broken is not None and broken.limit == name


@given(TURNS)
def test_usage_only_grows_and_every_limit_is_warned_of_once_and_before_it_breaks(turns):
    usage, warned = Usage(), []
    for turn in turns:
        before, usage = usage, usage.plus(**turn)
        assert all(getattr(usage, name) >= getattr(before, name) for name in LIMITS)
        warned += [near.limit for near in crossed(before, usage)]
        assert [near.limit for near in near_limits(usage)] == [n for n in LIMITS if n in warned]
        broken = broken_limit(usage)
        assert broken is None or broken.limit in warned
        assert room_for_events(usage) == max(0, EVENTS_RUN_MAX - usage.events)
    assert len(warned) == len(set(warned))
    assert usage.history_bytes == sum(t["input_bytes"] + t["turn_bytes"] for t in turns)
    assert usage.turn_bytes == max((t["turn_bytes"] for t in turns), default=0)


@given(SIZES, SIZES)
def test_what_a_turn_says_is_believed_and_one_that_says_nothing_is_counted(events, size):
    usage = Usage(events=events, steps=3, history_bytes=size)
    turn = Turn(number=1, consumed=[1, 2], through=2, by="e", now=1.0, digest="d",
                state=RunState.RUNNING, usage=usage)  # fmt: skip
    view = HistoryView().after(decode_turn(encode_turn(turn)), 1)
    assert view.usage == usage
    silent = Turn(number=2, consumed=[3], through=3, by="e", now=1.0, digest="d",
                  state=RunState.RUNNING)  # fmt: skip
    after = view.after(silent, 2).usage
    assert (after.events, after.steps, after.history_bytes) == (events + 1, 3, size)
