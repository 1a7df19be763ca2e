"""The pause between two attempts, and how a person ends it."""

import pytest

from pipelines.job import Outcome
from tests.tenants import BEGIN, hurried

JOB = "return (await step.job('a', 'x', retries=Retry(2, delay='1h', jitter=False))).attempt"
DO = """
left = [2]
def work():
    left[0] -= 1
    if left[0] >= 0:
        raise ValueError('not yet')
    return 'at last'
return await step.do('a', work, retries=Retry(2, delay='1h', jitter=False))
"""


def paused(run):
    """A Run whose step has failed once, and its pause."""
    run.start()
    if not run.made[-1][1].open.pauses:
        run.job("a", Outcome.FAILED)
    [pause] = run.made[-1][1].open.pauses
    return pause


def same_again(run):
    """Replay decides the same."""
    assert [one.digest for one in run.replayed()] == [made.digest for _, made in run.made]


def test_a_pause_says_which_attempt_comes_and_when(play):
    run = play(JOB)
    pause = paused(run)
    assert (pause.key, pause.attempt, pause.due) == ("a", 2, BEGIN + 1 + 3600)
    assert run.made[-1][1].wake_at == pause.due


def test_a_pause_that_nobody_ends_ends_when_it_is_due(play):
    run = play(JOB)
    paused(run)
    after = run.wake()
    assert [(c.key, c.attempt) for c in after.commands] == [("a", 2)]
    assert after.open.pauses == []


def test_a_person_has_the_next_attempt_of_a_job_begin_at_once(play):
    run = play(JOB)
    paused(run)
    after = run.turn(hurried("a", 2))
    assert [(c.key, c.attempt) for c in after.commands] == [("a", 2)]
    assert (after.open.pauses, after.wake_at) == ([], None)
    assert run.job("a", attempt=2).end.output == 2
    same_again(run)


def test_each_pause_of_a_do_is_ended_by_a_wish_of_its_own(play):
    run = play(DO)
    paused(run)
    again = run.turn(hurried("a", 2))
    assert [(p.key, p.attempt) for p in again.open.pauses] == [("a", 3)]
    assert run.turn(hurried("a", 3)).end.output == "at last"
    same_again(run)


@pytest.mark.parametrize(("key", "attempt"), [("a", 1), ("a", 3), ("b", 2)])
def test_a_wish_for_another_attempt_or_step_changes_nothing(play, key, attempt):
    run = play(JOB)
    before = paused(run)
    after = run.turn(hurried(key, attempt))
    assert (after.commands, after.open.pauses) == ([], [before])


def test_a_wish_that_comes_twice_ends_one_pause(play):
    run = play(DO)
    paused(run)
    after = run.turn(hurried("a", 2, "r1"), hurried("a", 2, "r2"))
    assert [(p.key, p.attempt) for p in after.open.pauses] == [("a", 3)]


def test_a_run_that_ends_during_a_pause_leaves_none(play):
    run = play(
        f"""
        async def work():
            {JOB}
        await step.first(work(), step.sleep('nap', 60))
        """
    )
    paused(run)
    end = run.wake()
    assert end.end.state == "succeeded"
    assert (end.open.pauses, end.wake_at) == ([], None)
